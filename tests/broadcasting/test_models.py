"""Models tell their channels what becomes of them."""

import copy
import pickle
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import F, FileField
from django.db.models.fields.files import FieldFile

from instant import Namespace, batch, publish
from instant.broadcasting import known, receivers
from instant.broadcasts import broadcasts, collected, muted, touch
from instant.testing import capture_publications, outbox

pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture
def sent(transactional_db):
    with capture_publications() as found:
        yield found


def declare(model=Group, **options):
    broadcasts(model)(type("Options", (), {"channels": "groups", **options}))
    receivers.connect()


def told(sent):
    return [(p.channel, p.payload["event_class"], p.payload["data"]) for p in sent]


def test_created_updated_deleted(sent):
    declare()
    group = Group.objects.create(name="a")
    group.name = "b"
    group.save()
    pk = group.pk
    group.delete()
    assert told(sent) == [
        ("groups", "group.created", {"pk": pk}),
        ("groups", "group.updated", {"pk": pk}),
        ("groups", "group.deleted", {"pk": pk}),
    ]


def test_only_fields_that_are_named_cause_and_make_a_message(sent):
    declare(get_user_model(), fields=("username", "is_staff"), channels=lambda user: f"u{user.pk}")
    user = get_user_model().objects.create(username="ann")
    sent[0].payload["data"].pop("pk")
    assert told(sent) == [(f"u{user.pk}", "user.created", {"username": "ann", "is_staff": False})]
    user.first_name = "Ann"
    user.save()
    user.save(update_fields=["first_name"])
    user = get_user_model().objects.get(pk=user.pk)
    user.save()
    user.last_name = "B"
    user.save()
    assert len(sent) == 1
    user.is_staff = True
    user.save(update_fields=["last_name"])
    assert len(sent) == 1
    user.save()
    data = {"pk": user.pk, "username": "ann", "is_staff": True}
    assert told(sent)[1:] == [(f"u{user.pk}", "user.updated", data)]


def test_what_was_deferred_and_what_was_read_again(sent):
    user_model = get_user_model()
    declare(user_model, fields=("username",), channels="users")
    user = user_model.objects.create(username="ann")
    late = user_model.objects.only("pk").get()
    late.save()
    late.username = "bob"
    late.save(update_fields=["username"])
    assert len(sent) == 2
    user.refresh_from_db()
    user.save()
    assert len(sent) == 2
    user.username = "eve"
    user.refresh_from_db(fields=["first_name"])
    user.save()
    assert told(sent)[-1][2] == {"pk": user.pk, "username": "eve"}
    assert len(sent) == 3


def test_one_that_was_not_read_counts_as_changed(sent):
    declare(Group, fields=("name",))
    group = Group.objects.create(name="a")
    Group(pk=group.pk, name="a").save()
    assert [event for _, event, _ in told(sent)] == ["group.created", "group.updated"]


def test_expressions_are_what_the_database_made_of_them(sent):
    declare(LogEntry, fields=("action_flag",), channels="log")
    user = get_user_model().objects.create(username="ann")
    entry = LogEntry.objects.create(user=user, action_flag=1, object_repr="x")
    entry.action_flag = F("action_flag") + 1
    entry.save()
    assert told(sent)[-1] == ("log", "logentry.updated", {"pk": entry.pk, "action_flag": 2})


def test_what_may_be_changed_in_place_is_not_remembered():
    """A list that is another one now is the same object: it always counts as changed."""
    row = SimpleNamespace(number=1, tags=[], more={}, none=None, count=F("count"))
    known.remember(row, ["number", "tags", "more", "none", "count", "deferred"])
    assert known.known(row) == {"number": 1, "none": None}


def test_events_names_and_payloads(sent):
    declare(
        Group,
        events=("updated",),
        name="team",
        payload=lambda group: {"name": group.name.upper()},
        channels=lambda group: ["a", "b", "a"],
    )
    group = Group.objects.create(name="x")
    group.name = "y"
    group.save()
    group.name = "unsaved"
    group.delete()
    assert told(sent) == [(name, "team.updated", {"name": "Y"}) for name in ("a", "b")]


def test_a_serializer(sent):
    from rest_framework import serializers

    class GroupSerializer(serializers.ModelSerializer):
        class Meta:
            model = Group
            fields = ("name",)

    declare(Group, serializer=GroupSerializer)
    Group.objects.create(name="x")
    assert told(sent) == [("groups", "group.created", {"name": "x"})]


def test_once_an_object_and_transaction(sent):
    declare(Group, fields=("name",))
    with transaction.atomic():
        group = Group.objects.create(name="a")
        publish("news", "between")
        for name in "bcd":
            group.name = name
            group.save()
        gone = Group.objects.create(name="gone")
        gone.delete()
        old = Group.objects.create(name="old")
        group.name = "not saved"
    assert (sent[0].channel, sent[0].payload["message"]) == ("news", "between")
    assert told(sent[1:]) == [
        ("groups", "group.created", {"pk": group.pk, "name": "d"}),
        ("groups", "group.created", {"pk": old.pk, "name": "old"}),
    ]
    with transaction.atomic():
        pk = old.pk
        old.name = "older"
        old.save()
        old.delete()
    assert told(sent[3:]) == [("groups", "group.deleted", {"pk": pk})]


def test_what_is_rolled_back_is_not_told(sent):
    declare(Group, fields=("name",))
    with transaction.atomic():
        group = Group.objects.create(name="a")
        with pytest.raises(ValueError, match="no"), transaction.atomic():
            group.name = "b"
            group.save()
            raise ValueError("no")
    assert told(sent) == [("groups", "group.created", {"pk": group.pk, "name": "a"})]
    with pytest.raises(ValueError, match="no"), transaction.atomic():
        Group.objects.create(name="c")
        raise ValueError("no")
    assert len(sent) == 1


def test_who_moves_tells_the_old_channel(sent):
    declare(LogEntry, channels=lambda e: f"user{e.user.username}", fields=("object_repr",))
    ann, bob = (get_user_model().objects.create(username=name) for name in ("ann", "bob"))
    entry = LogEntry.objects.create(user=ann, action_flag=1, object_repr="x")
    entry = LogEntry.objects.select_related("user").get()
    entry.user = bob
    entry.save()
    data = {"pk": entry.pk, "object_repr": "x"}
    assert told(sent)[1:] == [
        ("userbob", "logentry.updated", data),
        ("userann", "logentry.gone", {"pk": entry.pk}),
    ]
    with transaction.atomic():  # there and back: nobody has to let go
        entry.user = ann
        entry.save()
        entry.user = bob
        entry.save()
    assert told(sent)[3:] == [("userbob", "logentry.updated", data)]
    entry.user = ann
    entry.refresh_from_db()
    entry.user = ann
    entry.save()
    assert told(sent)[-1] == ("userbob", "logentry.gone", {"pk": entry.pk})


def test_who_is_in_no_channel_tells_nobody(sent):
    declare(Group, channels=lambda group: [] if group.name == "hidden" else "groups")
    group = Group.objects.create(name="hidden")
    assert not sent
    group.name = "seen"
    group.save()
    group.name = "hidden"
    group.save()
    group.delete()
    assert [event for _, event, _ in told(sent)] == ["group.updated", "group.gone"]


def test_soft_deletes(sent):
    model = get_user_model()
    declare(model, channels="users", fields=("username",), is_deleted=lambda u: not u.is_active)
    user = model.objects.create(username="ann")
    user.is_active = False
    user.save()
    user.username = "eve"
    user.save()
    user.is_active = True
    user.save()
    user.is_active = False
    user.save()
    user.delete()
    model.objects.create(username="never", is_active=False)
    assert [event for _, event, _ in told(sent)] == [
        "user.created", "user.deleted", "user.created", "user.deleted",
    ]  # fmt: skip
    assert told(sent)[2][2]["username"] == "eve"


def test_many_to_many(sent):
    declare(Group, fields=("name", "permissions"))
    one, two = Permission.objects.all()[:2]
    group = Group.objects.create(name="a")
    group.permissions.add(one, two)
    group.permissions.add(one)
    one.group_set.remove(group)
    group.permissions.clear()
    two.group_set.add(group)
    two.group_set.clear()
    found = [data["permissions"] for _, _, data in told(sent)]
    assert found == [[], sorted([one.pk, two.pk]), [two.pk], [], [two.pk], []]


@pytest.fixture
def team():
    """A proxy, which inherits what the model says."""
    attributes = {"Meta": type("Meta", (), {"proxy": True, "app_label": "auth"})}
    yield type("Team", (Group,), {"__module__": __name__, **attributes})
    del apps.all_models["auth"]["team"]
    apps.clear_cache()


def test_many_to_many_of_a_model_with_a_proxy(sent, team):
    declare(Group, fields=("name", "permissions"))
    permission = Permission.objects.first()
    with transaction.atomic():
        group = Group.objects.create(name="a")
        group.permissions.add(permission)
    permission.group_set.remove(group)
    team.objects.get().permissions.add(permission)
    assert [event for _, event, _ in told(sent)] == [
        "group.created",
        "group.updated",
        "team.updated",
    ]


def test_many_to_many_of_a_proxy_alone(sent, team):
    declare(team, fields=("name", "permissions"))
    group = Group.objects.create(name="a")
    permission = Permission.objects.first()
    team.objects.get().permissions.add(permission)
    permission.group_set.remove(group)
    assert [event for _, event, _ in told(sent)] == ["team.updated", "team.updated"]


def roll_back(instance, **values):
    """Save it with other values, in a transaction or a savepoint that ends in an error."""
    vars(instance).update(values)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        instance.save()
        instance.save()
        raise ZeroDivisionError


def test_what_was_rolled_back_and_is_saved_again_is_told(sent):
    declare(Group, fields=("name",), channels=lambda group: f"g-{group.name}")
    group = Group.objects.create(name="a")
    roll_back(group, name="b")
    assert len(sent) == 1
    group.save()
    assert told(sent)[1:] == [
        ("g-b", "group.updated", {"pk": group.pk, "name": "b"}),
        ("g-a", "group.gone", {"pk": group.pk}),
    ]
    group.save()
    assert len(sent) == 3


def test_what_a_savepoint_has_rolled_back_is_told_when_it_is_saved_again(sent):
    declare(Group, fields=("name",))
    group = Group.objects.create(name="a")
    with transaction.atomic():
        group.name = "b"
        group.save()
        roll_back(group, name="c")
    group.name = "b"
    group.save()
    assert [data["name"] for _, _, data in told(sent)] == ["a", "b"]
    roll_back(group, name="a")
    group.save()
    assert [data["name"] for _, _, data in told(sent)] == ["a", "b", "a"]


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_what_waits_in_another_databases_transaction_is_not_taken_for_rolled_back(sent):
    declare(Group, fields=("name",))
    group = Group.objects.create(name="a")
    group.save(using="other")
    with transaction.atomic():
        group.name = "b"
        group.save(using="default")
        count = len(sent)
        group.save(using="other")  # which has no hook of that save
        assert len(sent) == count
    assert [data["name"] for _, _, data in told(sent)][-1] == "b"


def test_a_muted_save_that_was_rolled_back_counts_for_nothing(sent):
    declare(Group, fields=("name",))
    group = Group.objects.create(name="a")
    with muted():
        roll_back(group, name="b")
    group.save()
    assert [data["name"] for _, _, data in told(sent)] == ["a", "b"]


def test_a_row_that_was_saved_may_be_pickled_before_the_commit(sent):
    declare(Group, fields=("name",))
    with transaction.atomic():
        group = Group.objects.create(name="a")
        group.name = "b"
        group.save()
        copies = [pickle.loads(pickle.dumps(group)), copy.deepcopy(group), copy.copy(group)]
    for one in copies:
        assert (one.pk, one.name) == (group.pk, "b")
        one.save()
    assert len(sent) == 1


def test_a_file_that_was_changed_in_place_has_changed():
    row = SimpleNamespace(pdf=FieldFile(None, FileField(), "old.pdf"))
    known.remember(row, ["pdf"])
    assert known.known(row)["pdf"] == row.pdf
    row.pdf.name = "new.pdf"
    assert known.known(row)["pdf"] != row.pdf


def test_muted(sent):
    declare(Group)
    declare(get_user_model(), channels="users")
    with muted():
        Group.objects.create(name="a")
        get_user_model().objects.create(username="a")
    assert not sent
    with muted(Group):
        Group.objects.all().delete()
        get_user_model().objects.create(username="b")
    assert [channel for channel, _, _ in told(sent)] == ["users"]
    Group.objects.create(name="c")
    assert len(sent) == 2


def test_collected(sent):
    declare(Group, fields=("name",))
    with collected():
        group = Group.objects.create(name="a")
        for name in "bc":
            group.name = name
            group.save()
        with transaction.atomic():
            group.name = "d"
            group.save()
        with pytest.raises(ValueError, match="no"), transaction.atomic():
            group.name = "e"
            group.save()
            raise ValueError("no")
        with collected():
            Group.objects.create(name="f")
        assert not sent
    assert [data["name"] for _, _, data in told(sent)] == ["d", "f"]
    with pytest.raises(ValueError, match="no"), collected():
        Group.objects.create(name="kept")
        raise ValueError("no")
    assert told(sent)[-1][2]["name"] == "kept"


def test_collected_in_a_transaction_that_is_rolled_back(sent):
    declare(Group, fields=("name",))
    with pytest.raises(ValueError, match="no"), transaction.atomic():
        with collected():
            Group.objects.create(name="a")
        raise ValueError("no")
    assert not sent


def test_touch(sent):
    declare(Group, fields=("name",), channels=lambda group: [f"group:{group.pk}", "groups"])
    cls = type("OfGroup", (Namespace,), {"name": "group", "pattern": "<int:pk>"})
    Group.objects.bulk_create([Group(name="a"), Group(name="b")])
    assert not sent
    with transaction.atomic():
        touch(Group.objects.filter(name="a"))
        assert {p.state for p in sent} == {"deferred"}
    pk = Group.objects.get(name="a").pk
    assert [(c, e) for c, e, _ in told(sent)] == [
        (f"group:{pk}", "group.updated"), ("groups", "group.updated"),
    ]  # fmt: skip
    cls.touch(Group.objects.order_by("name"))
    assert [c.split(":")[0] for c, _, _ in told(sent)[2:]] == ["group", "group"]
    with pytest.raises(ValueError, match="Permission doesn't broadcast"):
        touch(Permission.objects.all())


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": lambda group: 1 / 0},
        {"channels": "a b"},
        {"payload": lambda group: 1 / 0},
        {"payload": lambda group: object()},
        {"payload": lambda group: None},
    ],
)
def test_what_fails_breaks_no_save(sent, wrong, caplog):
    declare(Group, **wrong)
    group = Group.objects.create(name="a")
    with transaction.atomic():
        group.name = "b"
        group.save()
    assert Group.objects.get().name == "b"
    assert "told" in caplog.text or "could not be published" in caplog.text
    group.delete()


def test_fixtures_tell_nothing(sent, tmp_path):
    from django.core.management import call_command

    declare(Group)
    file = tmp_path / "groups.json"
    file.write_text(
        '[{"model": "auth.group", "pk": 7, "fields": {"name": "a", "permissions": []}}]'
    )
    call_command("loaddata", str(file), verbosity=0)
    assert Group.objects.exists()
    assert not sent


@pytest.mark.django_db
def test_a_test_that_never_commits_sees_them():
    declare(Group, fields=("name",))
    with capture_publications() as found:
        group = Group.objects.create(name="a")
        assert found[0] is found[0]
        group.name = "b"
        group.save()
        publish("news", "x")
        found.assert_published(
            "groups", event_class="group.created", data={"pk": group.pk, "name": "b"}, count=1
        )
        assert len(found) == 2
    assert len(found) == 2


@pytest.mark.django_db(transaction=True)
def test_with_the_outbox_they_are_part_of_the_transaction():
    declare(Group, fields=("name",))
    with outbox() as found:
        with transaction.atomic():
            group = Group.objects.create(name="a")
            assert len(found) == 1
        with pytest.raises(ValueError, match="no"), transaction.atomic():
            group.name = "b"
            group.save()
            raise ValueError("no")
        assert len(found) == 1
        with transaction.atomic(), collected():
            for name in "cd":
                group.name = name
                group.save()
        assert [data["name"] for _, _, data in told(found)] == ["a", "d"]


def test_in_a_batch_they_leave_with_it(sent):
    declare(Group)
    with pytest.raises(ValueError, match="no"), batch():
        Group.objects.create(name="a")
        raise ValueError("no")
    assert len(sent) == 1  # the row is there, so it is told


def test_a_model_of_ones_own_and_its_proxy(sent, monkeypatch):
    options = type("Instant", (), {"channels": "types", "fields": ("model",)})
    monkeypatch.setattr(ContentType, "Instant", options, raising=False)
    receivers.connect()
    ContentType.objects.create(app_label="x", model="y")
    assert told(sent)[0][:2] == ("types", "contenttype.created")


def test_in_a_testcase_what_is_new_stays_created_until_somebody_begins_to_look(db):
    declare()
    with capture_publications() as sent:
        group = Group.objects.create(name="a")
        group.save()
    assert [event for _, event, _ in told(sent)] == ["group.created"]
    with capture_publications() as sent:
        group.save()
    assert [event for _, event, _ in told(sent)] == ["group.updated"]
