"""One row and one check a transaction, and nothing that breaks the change itself."""

import logging

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from instant import Namespace
from instant.centrifugo.api.commands import Disconnect
from instant.models import Channel, Revocation
from instant.revoking import follow_up, ledger, needed, run, tables
from instant.revoking.affected import Affected
from instant.revoking.receivers import depends_on

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def declare(registry):
    def make(**attributes):
        cls = type("Doc", (Namespace,), {"name": "doc", "pattern": "<slug:slug>", **attributes})
        depends_on.connect()
        return cls

    return make


def loss():
    return [row.loss for row in Revocation.objects.order_by("pk")]


# The one row


def test_the_one_change_of_a_transaction_is_written_as_it_is(client, ann):
    with transaction.atomic():
        ann.groups.clear()
        assert loss() == [{"subscriptions": {str(ann.pk): ["$blue", "$red", "$red2"]}}]


def test_two_changes_are_one_row_about_everything_until_the_commit(client, ann, make_user):
    bob = make_user("bob", groups=["red"])
    with transaction.atomic():
        ann.groups.clear()
        bob.groups.clear()
        [about] = loss()
        assert about["all"]
    [about] = loss()
    assert set(about) == {"subscriptions"}
    assert set(about["subscriptions"]) == {str(ann.pk), str(bob.pk)}


def test_the_same_change_again_costs_no_query(client, declare, django_assert_num_queries):
    doc = declare(can_subscribe=lambda self, user, slug: False)
    with transaction.atomic():
        doc.recheck(slug="a")
        with django_assert_num_queries(0):
            doc.recheck(slug="a")
        with django_assert_num_queries(1):
            doc.recheck(slug="b")
        with django_assert_num_queries(0):
            doc.recheck(slug="c")
    assert loss() == [{"channels": ["doc:a", "doc:b", "doc:c"]}]


def rolled_back(do):
    with pytest.raises(RuntimeError), transaction.atomic():
        do()
        raise RuntimeError


def test_a_savepoint_that_is_rolled_back_takes_the_row(client, declare):
    doc = declare(can_subscribe=lambda self, user, slug: False)
    with transaction.atomic():
        rolled_back(lambda: doc.recheck(slug="a"))
        assert loss() == []
        doc.recheck(slug="b")
        assert loss() == [{"channels": ["doc:b"]}]
    assert loss() == [{"channels": ["doc:b"]}]


def test_a_savepoint_that_is_rolled_back_makes_the_row_narrow_again(client, declare):
    doc = declare(can_subscribe=lambda self, user, slug: False)
    with transaction.atomic():
        doc.recheck(slug="a")
        rolled_back(lambda: doc.recheck(slug="b"))
        assert loss() == [{"channels": ["doc:a"]}]
        doc.recheck(slug="c")
        assert loss()[0]["all"], "Else a process that is killed now leaves doc:c to nobody."
    assert loss() == [{"channels": ["doc:a", "doc:c"]}]


def test_a_savepoint_of_the_database_s_own_takes_the_row(client, declare):
    doc = declare(can_subscribe=lambda self, user, slug: False)
    with transaction.atomic():
        create = (
            getattr(transaction, "savepoint_create", None) or transaction.savepoint
        )  # Django 6.1
        sid = create()
        doc.recheck(slug="a")
        transaction.savepoint_rollback(sid)
    assert [row.is_last for row in Revocation.objects.all()] == [True]


def test_sessions_that_end_are_each_written_down(client, make_user):
    """No rule shows whose password is new, so everything is not enough."""
    users = [make_user(f"u{n}") for n in range(3)]
    with transaction.atomic():
        for user in users:
            user.set_password("new")
            user.save()
        assert [about["reconnects"] for about in loss()] == [[str(user.pk)] for user in users]
    assert loss() == [{"reconnects": sorted(str(user.pk) for user in users)}]
    assert len(client.changes) == 3


def test_another_transaction_has_a_row_of_its_own(client, declare):
    doc = declare(can_subscribe=lambda self, user, slug: False)
    for name in ("a", "b"):
        with transaction.atomic():
            doc.recheck(slug=name)
    assert loss() == [{"channels": ["doc:a"]}, {"channels": ["doc:b"]}]


def test_what_fails_is_repeated_and_the_rest_is_followed_up(client, declare, make_user):
    from instant.centrifugo.api.commands import PresenceStats
    from instant.exceptions import ServerRefused

    doc = declare(can_subscribe=lambda self, user, slug: False)
    ann, answer = make_user("ann"), client.answer
    client.answer = lambda c: (
        ServerRefused("error 108", code=108) if isinstance(c, PresenceStats) else answer(c)
    )
    with transaction.atomic():
        doc.recheck(slug="a")
        ann.is_active = False
        ann.save()
    assert client.changes == [Disconnect(str(ann.pk), 3503, "access ended")]
    rows = {
        tuple(sorted(row.loss)): (row.attempts, row.is_last, row.claim) for row in rows_by_loss()
    }
    assert rows == {
        ("channels",): (1, False, ""),
        ("disconnects", "reconnects", "rights"): (0, True, ""),
    }


def rows_by_loss():
    return Revocation.objects.order_by("pk")


# Linear


def queries_of(do):
    with (
        CaptureQueriesContext(
            connection,
        ) as caught,
        transaction.atomic(),
    ):
        do()
    return len(caught)


def test_deleting_many_users_costs_three_queries_more(client, make_user, settings):
    def made(count):
        user = get_user_model()
        user.objects.bulk_create(user(username=f"u{n}") for n in range(count))
        return user.objects.filter(username__startswith="u")

    settings.INSTANT = {**settings.INSTANT, "ENFORCE": False}
    without = queries_of(made(600).delete)
    settings.INSTANT = {**settings.INSTANT, "ENFORCE": True}
    assert queries_of(made(600).delete) <= without + 4  # the row, wider, whether there are rows
    assert len(loss()) == 1


def test_deleting_many_that_rules_depend_on_costs_three_queries_more(client, declare, settings):
    declare(
        authorize="proxy",
        can_subscribe=lambda self, user, slug: False,
        depends_on={"auth.Group": lambda group: {"slug": group.name}},
    )

    def made(count):
        Group.objects.bulk_create(Group(name=f"g{n}") for n in range(count))
        return Group.objects.filter(name__startswith="g")

    settings.INSTANT = {**settings.INSTANT, "ENFORCE": False}
    without = queries_of(made(600).delete)
    settings.INSTANT = {**settings.INSTANT, "ENFORCE": True}
    # A group that goes is also asked for its members.
    assert queries_of(made(600).delete) <= without + 600 + 5
    assert len(loss()) == 1


def test_of_very_many_changes_the_kind_is_noted(client, declare):
    """A check of so many is the looker's; the function of the project isn't called for each."""
    asked = []

    def channels(group):
        asked.append(group)
        return {"slug": group.name}

    declare(can_subscribe=lambda self, user, slug: False, depends_on={"auth.Group": channels})
    Group.objects.bulk_create(Group(name=f"g{n}") for n in range(1200))
    with transaction.atomic():
        Group.objects.filter(name__startswith="g").delete()
        hooks = len(connection.run_on_commit)
        rolled_back(lambda: Group.objects.create(name="late"))
        Group.objects.create(name="later")
    assert len(asked) <= 501
    assert hooks <= 502
    assert loss() == [{"channels": ["doc:*"]}]
    with transaction.atomic():
        for name in ("a", "b"):
            Group.objects.create(name=name)
    assert loss()[1] == {"channels": ["doc:a", "doc:b"]}, "The next transaction starts anew."


def test_sessions_are_never_only_a_kind(client, make_user, registry):
    subs = [str(n) for n in range(510)]
    with transaction.atomic():
        for sub in subs:
            run.revoke(Affected(disconnects={sub}))
        run.revoke(Affected(sessions={"900"}))
        run.revoke(Affected(disconnects={"901"}, sessions={"902"}))
    [row] = Revocation.objects.all()
    assert Affected.from_json(row.loss).sessions == {"900", "902"}


def test_a_row_that_would_name_thousands_names_the_kind(registry):
    names = {f"doc:{n}" for n in range(2000)}
    assert Affected(channels=names).bounded() == Affected(channels={"doc:*"})
    many = {str(n) for n in range(2000)}
    assert Affected(disconnects=many).bounded().everything
    assert Affected(permissions={"1": many}, sessions={"7"}).bounded() == Affected(
        everything=True, sessions={"7"}
    )
    assert Affected(channels={f"$r{n}" for n in range(2000)}).bounded().everything
    assert Affected(subscriptions={"7": names}).bounded() == Affected(channels={"doc:*"})
    few = Affected(channels={"doc:1"})
    assert few.bounded() is few


# Deployed before it is migrated


@pytest.fixture
def without_table(client, ann, monkeypatch):
    monkeypatch.setattr(tables, "_found", set())
    tables._log_once.cache_clear()
    with connection.schema_editor() as editor:
        editor.delete_model(Revocation)
    yield
    with connection.schema_editor() as editor:
        editor.create_model(Revocation)


def _deactivate(user):
    user.is_active = False
    user.save()


def _password(user):
    user.set_password("new")
    user.save()


@pytest.mark.parametrize(
    "change",
    [
        _deactivate,
        _password,
        lambda user: user.groups.clear(),
        lambda user: user.user_permissions.clear(),
        lambda user: user.groups.first().delete(),
        lambda user: user.delete(),
        lambda user: Channel.objects.all().delete(),
        lambda user: get_user_model().objects.get_or_create(username="new"),
    ],
)
def test_nothing_breaks_without_the_table(without_table, ann, change, caplog):
    with transaction.atomic():
        change(ann)
        assert get_user_model().objects.count() >= 0, "The transaction goes on."
    change(ann) if ann.pk else None
    assert [record.levelno for record in caplog.records] in ([], [logging.ERROR])


def test_logging_out_without_the_table_ends_the_session(without_table, ann, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    browser = Client()
    browser.force_login(ann)
    headers = {"Sec-Fetch-Site": "same-origin"}
    answer = browser.post(
        "/instant/logout/", "{}", content_type="application/json", headers=headers
    )
    assert answer.status_code == 200
    assert browser.session.get("_auth_user_id") is None


def test_it_is_on_as_soon_as_the_table_is_there(without_table, ann):
    with connection.schema_editor() as editor:
        editor.create_model(Revocation)
    try:
        _deactivate(ann)
        assert len(loss()) == 1
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Revocation)


# What a receiver can't make out


def test_an_expression_may_take_the_flag(client, make_user, make_channel):
    make_channel("$staff", "staff")
    sam = make_user("sam", is_staff=True)
    sam.is_staff = F("is_superuser")
    sam.save()
    assert [(c.user, c.channel) for c in client.changes] == [(str(sam.pk), "$staff")]


def test_deferred_flags_are_not_read(client, make_user, django_assert_num_queries):
    make_user("sam", is_staff=True)
    sam = get_user_model().objects.only("first_name").get(username="sam")
    sam.first_name = "Sam"
    with django_assert_num_queries(1):
        sam.save()


def test_a_receiver_that_is_lost_asks_everybody(client, ann, monkeypatch, caplog):
    def broken(*arguments):
        raise ValueError("odd")

    monkeypatch.setattr("instant.revoking.receivers.groups.channel_names", broken)
    with transaction.atomic():
        ann.groups.clear()
        assert loss()[0]["all"]
    assert "odd" in caplog.text
    assert ann.groups.count() == 0


def test_a_database_that_fails_outside_of_a_transaction_lets_the_save_go_on(
    client, ann, monkeypatch, caplog
):
    def broken(*arguments, **kwargs):
        raise DatabaseError("full")

    monkeypatch.setattr(ledger, "write", broken)
    _deactivate(ann)
    ann.refresh_from_db()
    assert not ann.is_active
    assert "full" in caplog.text


def test_loaddata_takes_rights_away(client, ann, tmp_path):
    path = tmp_path / "users.json"
    call_command("dumpdata", "auth.user", output=path)
    path.write_text(path.read_text().replace('"is_active": true', '"is_active": false'))
    call_command("loaddata", path, verbosity=0)
    assert client.changes == [Disconnect(str(ann.pk), 3503, "access ended")]


# Who doesn't use it doesn't pay


def test_saving_a_user_costs_nothing_without_rules_and_rows(
    client, make_user, registry, django_assert_num_queries
):
    ann = make_user("ann")
    needed.channels_changed()
    ann.save()
    with django_assert_num_queries(1):
        ann.save()
    Channel.objects.create(name="news", level="public")
    with django_assert_num_queries(3):  # the first asks whether there are rows
        ann.save()
    with django_assert_num_queries(2):
        ann.save()


def test_without_rules_and_rows_who_is_deactivated_is_out_all_the_same(client, make_user, registry):
    """Everybody has a channel of their own."""
    ann = make_user("ann")
    _deactivate(ann)
    assert client.changes == [Disconnect(str(ann.pk), 3503, "access ended")]


def test_a_setting_switches_all_of_it_off(client, ann, settings, django_assert_num_queries):
    settings.INSTANT = {**settings.INSTANT, "ENFORCE": False}
    ann.is_active = False
    with django_assert_num_queries(1):
        ann.save()
    ann.groups.clear()
    assert not run.is_on()
    assert loss() == []
    assert follow_up.follow_up() == 0
