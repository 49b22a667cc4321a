"""When pages are told, and of what."""

import contextlib
import json
import uuid

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.module_loading import import_string

from instant.backends import replaced
from instant.broadcasting import receivers as broadcasting
from instant.broadcasts import broadcasts, collected, muted, touch
from instant.models import LiveList
from instant.pages.lists import fetching, following, receivers, stored_query, syncing
from instant.pages.lists.channel import ListChannel
from instant.pages.lists.showing import show
from tests.pages.lists.conftest import Page, declare

ROWS = LogEntry.objects.values("object_repr").order_by("object_repr")


def ops(sent):
    return [
        [(op["op"], op["key"]) for op in publication.payload["data"].get("ops", ())]
        for publication in sent
    ]


def test_one_message_for_a_transaction_after_its_commit(follow, make, sent):
    page = follow(ROWS)
    with transaction.atomic():
        first = make("a")
        first.object_repr = "c"
        first.save()
        second = make("b")
        assert len(sent) == 0
    assert ops(sent) == [[("enter", str(first.pk)), ("enter", str(second.pk))]]
    assert [row["object_repr"] for row in page.follow().drawn] == ["b", "c"]
    assert page.asked == 1


def test_what_is_rolled_back_is_told_to_nobody(follow, make, sent):
    follow(ROWS)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        make("a")
        raise ZeroDivisionError
    assert len(sent) == 0


def test_muted_and_collected(follow, make, sent):
    page = follow(ROWS)
    with muted():
        make("a")
    with muted(get_user_model()), collected():
        make("b")
        make("c")
        assert len(sent) == 0
    # What was muted shows itself with the next change: the database is asked, and not the signal.
    assert [len(one) for one in ops(sent)] == [3]
    assert len(page.follow().drawn) == 3


def test_touch_tells_of_what_django_sends_no_signal_of(follow, make, sent):
    entry = make("a")
    page = follow(ROWS)
    LogEntry.objects.update(object_repr="b")
    assert len(sent) == 0
    touch(LogEntry.objects.filter(pk=entry.pk))
    assert ops(sent) == [[("change", str(entry.pk))]]
    assert page.follow().drawn == [{"object_repr": "b"}]
    with pytest.raises(ValueError, match="doesn't broadcast"):
        touch(get_user_model().objects.all())


def test_a_key_that_code_says_in_another_way_is_the_same_row(follow, make, sent):
    entry = make("a")
    page = follow(ROWS)
    entry.pk = f"0{entry.pk}"
    entry.object_repr = "b"
    entry.save()
    assert ops(sent) == [[("change", str(int(entry.pk)))]]
    assert page.follow().drawn == [{"object_repr": "b"}]


def test_relations_to_many_count(registry, monkeypatch, sent):
    monkeypatch.setattr(following, "_labels", {})
    monkeypatch.setattr(following, "_declared", {})
    users = get_user_model().objects
    declare(get_user_model())
    ann, group = users.create(username="ann"), Group.objects.create(name="staff")
    queryset = users.filter(groups=group).values("username").order_by("username")
    page = Page(queryset, sent)
    drawn = []
    for change in (
        lambda: ann.groups.add(group),
        ann.groups.clear,
        lambda: group.user_set.add(ann),
        group.user_set.clear,
        lambda: group.user_set.set([ann]),
        ann.delete,
    ):
        change()
        drawn.append(len(page.follow().drawn))
    assert drawn == [1, 0, 1, 0, 1, 0]


def test_what_is_saved_as_another_model_counts(registry, monkeypatch, sent):
    monkeypatch.setattr(following, "_labels", {})
    monkeypatch.setattr(following, "_declared", {})
    declare(Group)

    class Team(Group):
        class Meta:
            proxy = True
            app_label = "auth"

    try:
        declare()
        page = Page(Group.objects.values("name").order_by("name"), sent)
        Team.objects.create(name="a")
        assert page.follow().drawn == [{"name": "a"}]
    finally:
        from django.apps import apps

        del apps.all_models["auth"]["team"]
        apps.clear_cache()


def test_one_question_a_change_and_list_however_many_look(follow, make, sent):
    make("a")
    pages = [follow(ROWS) for _ in range(5)]
    follow(ROWS[:1])
    with CaptureQueriesContext(connection) as queries:
        make("b")
    asked = [q["sql"] for q in queries if "django_admin_log" in q["sql"] and "SELECT" in q["sql"]]
    assert len(asked) == 2
    assert len(sent) == 1
    assert all(len(page.follow().drawn) == 2 for page in pages)


def test_a_save_that_concerns_no_list_asks_one_question(followed, ann, make):
    with CaptureQueriesContext(connection) as queries:
        make("a")
    assert len([q for q in queries if q["sql"].startswith("SELECT")]) == 1


@pytest.mark.parametrize("backend", ["locmem.LocmemBackend", "outbox.OutboxBackend"])
def test_what_all_lists_are_told_of_a_change_leaves_together(follow, make, monkeypatch, backend):
    path = f"instant.backends.{backend}"
    calls, kind = [], import_string(path)
    name = "in_transaction" if kind.transactional else "send"
    real = getattr(kind, name)

    def counted(self, envelopes, *more):
        calls.append(len(envelopes))
        return real(self, envelopes, *more)

    for flag in (1, 2):
        follow(ROWS.filter(action_flag=flag))
        follow(ROWS.filter(action_flag=flag).order_by("-object_repr"))
    monkeypatch.setattr(kind, name, counted)
    with replaced(kind()):
        entry = make("a", 1)
        assert calls == [2]
        entry.action_flag = 2
        entry.save()
    assert calls == [2, 4]


def test_whoever_was_slower_asks_again(follow, make, sent, monkeypatch):
    """Two processes have committed, and the first has asked before the second did."""
    page = follow(ROWS)
    real, late = stored_query.keys, []

    def keys(text, database):
        found = real(text, database)
        if not late:
            late.append(True)
            make("b")  # which asks, notes and tells before we do
        return found

    monkeypatch.setattr(stored_query, "keys", keys)
    make("a")
    assert [row["object_repr"] for row in page.follow().drawn] == ["a", "b"]
    assert len(sent) == 2


def test_what_changes_while_a_page_is_made_is_in_it_or_comes(follow, make, sent, monkeypatch):
    follow(ROWS)
    real, during = syncing.take, []

    def take(row, keys, *more):
        if not during:
            during.append(True)
            make("b")
        return real(row, keys, *more)

    monkeypatch.setattr("instant.pages.lists.showing.syncing.take", take)
    page = Page(ROWS, sent)
    assert [row["object_repr"] for row in page.follow().drawn] == ["b"]


def test_a_list_that_is_new_in_a_transaction_has_no_version(followed, make, sent):
    """Others commit what the page doesn't have, and can't see the list: its page asks."""
    make("a")
    with transaction.atomic():
        first = show(ROWS, {}, user=None, request=None)
    assert (len(first.rows), first.state) == (1, None)
    page = Page(ROWS, sent)
    with transaction.atomic():
        second = show(ROWS, {}, user=None, request=None)
        make("b")
        third = show(ROWS, {}, user=None, request=None)
    assert third.state is None
    if connection.vendor != "sqlite" or second.state is not None:
        assert second.state["data"]["v"] == page.version
    assert len(page.follow().drawn) == 2


def test_many_changes_at_once_are_not_listed(follow, make, sent):
    page = follow(ROWS)
    with transaction.atomic():
        for number in range(101):
            make(f"{number:03}")
    assert [p.payload["data"].get("reset") for p in sent] == [True]
    assert len(page.follow().drawn) == 101


def test_a_query_that_is_not_of_this_day_ends_its_list(follow, make, sent, caplog):
    follow(ROWS)
    LiveList.objects.update(queryset="forged")
    make("a")
    assert [p.payload["data"] for p in sent] == [{"v": 0, "end": True}]
    assert not LiveList.objects.exists()
    assert "is followed no longer" in caplog.text
    page = follow(ROWS)
    make("b")
    assert len(page.follow().drawn) == 2


def test_two_versions_of_django_tell_each_others_lists(follow, make, sent, monkeypatch, caplog):
    """During a deploy: neither can use the other's kept query."""
    make("a")
    old = follow(ROWS)
    public = show(ROWS, {"public": True}, user=None, request=None)
    with monkeypatch.context() as patch:
        patch.setattr("django.get_version", lambda: "9.9")
        new = follow(ROWS)
        assert new.shown.channel != old.shown.channel
        make("b")
        assert len(new.follow().drawn) == 2
        with pytest.raises(fetching.NotGiven):
            old.follow()
        told = [p.payload["data"] for p in sent if p.channel == public.channel]
        assert [[op["op"] for op in data["ops"]] for data in told] == [["enter"]]
        assert "rows" not in told[0]
        state = ListChannel().snapshot(None, digest=public.channel.partition(":")[2])
        assert len(state["keys"]) == 2
    make("c")
    with monkeypatch.context() as patch:
        patch.setattr("django.get_version", lambda: "9.9")
        assert [row["object_repr"] for row in new.follow().drawn] == ["a", "b", "c"]
    old._begin_anew()
    assert [row["object_repr"] for row in old.drawn] == ["a", "b", "c"]
    assert LiveList.objects.count() == 3
    assert caplog.text == ""


def test_a_model_that_only_lists_follow_tells_no_channel(registry, monkeypatch, sent):
    monkeypatch.setattr(following, "_labels", {})
    monkeypatch.setattr(following, "_declared", {})
    declare(Group)
    assert broadcasting.listener_of(Group) is None
    Group.objects.create(name="a")
    assert len(sent) == 0


def test_a_model_may_do_both(registry, monkeypatch, sent):
    monkeypatch.setattr(following, "_labels", {})
    monkeypatch.setattr(following, "_declared", {})
    declare(Group, channels="groups")
    page = Page(Group.objects.values("name"), sent)
    group = Group.objects.create(name="a")
    assert [p.payload["event_class"] for p in sent] == ["group.created", "instant:list"]
    touch(Group.objects.all())
    assert len(sent) == 4
    assert page.follow().drawn == [{"name": "a"}]
    group.delete()
    assert page.follow().drawn == []


def test_a_wrong_declaration_is_named():
    from instant.broadcasting import declaration

    before = list(declaration._registry)
    try:
        broadcasts(Group)(type("Options", (), {"lists": "yes"}))
        found = list(declaration.problems())
        assert any(".lists must be True or False, not 'yes'." in one for one in found)
        assert any(".channels must be" in one for one in found)
    finally:
        declaration._registry[:] = before


def test_the_keys_that_are_kept_are_the_lists(follow, make):
    entry = make("a")
    follow(ROWS)
    assert json.loads(LiveList.objects.get().keys) == [str(entry.pk)]


def test_a_list_that_fails_keeps_no_other_from_being_told(follow, make, monkeypatch, caplog):
    bad, good = follow(ROWS.filter(action_flag=1)), follow(ROWS.filter(action_flag=2))
    refresh = receivers.refresh

    def failing(row, *more):
        if row.digest in bad.shown.channel:
            raise OverflowError("a number that no database has")
        return refresh(row, *more)

    monkeypatch.setattr(receivers, "refresh", failing)
    make("a", 2)
    assert len(good.follow().drawn) == 1
    assert "could not be told" in caplog.text


def test_before_the_first_start_of_a_server_a_save_logs_lines(follow, make, settings, caplog):
    follow(ROWS)
    backend = "instant.backends.centrifugo.CentrifugoBackend"
    settings.INSTANT = {**settings.INSTANT, "BACKEND": backend, "DIR": "/nonexistent"}
    settings.CENTRIFUGO_API_KEY = None
    with replaced(None):
        make("a")
    assert "CENTRIFUGO_API_KEY is not set" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.fixture
def things(transactional_db, monkeypatch):
    """A model whose key is that of its parent, and a UUID."""
    meta = {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "auth"})}
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    parent = type("Thing", (models.Model,), {"id": key, **meta})
    child = type("SpecialThing", (parent,), {"name": models.TextField(), **meta})
    monkeypatch.setitem(globals(), "SpecialThing", child)  # where pickle looks for it
    with connection.schema_editor() as editor:
        editor.create_model(parent)
        editor.create_model(child)
    yield child
    with connection.schema_editor() as editor:
        editor.delete_model(child)
        editor.delete_model(parent)
    for name in ("thing", "specialthing"):
        del apps.all_models["auth"][name]
    apps.clear_cache()


def test_the_key_of_an_inherited_model_is_read_as_its_parents(followed, sent, things):
    declare(things)
    things.objects.create(name="a")
    page = Page(things.objects.values("name").order_by("name"), sent)
    things.objects.create(name="b")
    page.follow()
    assert [row["name"] for row in page.drawn] == ["a", "b"]


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_what_the_lists_own_database_rolls_back_is_not_told(followed, sent, ann):
    """The rows are in another one, which has committed."""
    get_user_model().objects.using("other").create(pk=ann.pk, username="ann")
    entries = LogEntry.objects.using("other")
    entries.create(user_id=ann.pk, object_repr="a", action_flag=1)
    page = Page(entries.values("object_repr").order_by("object_repr"), sent)
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        entries.create(user_id=ann.pk, object_repr="b", action_flag=1)
        raise ZeroDivisionError
    page.follow()
    entries.create(user_id=ann.pk, object_repr="c", action_flag=1)
    page.follow()
    assert page.keys == [str(key) for key in entries.order_by("pk").values_list("pk", flat=True)]
