"""Who may follow a list, and whose rows are shown."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db import transaction
from django.db.models import UUIDField
from django.utils import timezone

from instant import permissions
from instant.models import LiveList, LiveListReader
from instant.pages import reference
from instant.pages.lists import channel, fetching, following, opening, registry, resting
from instant.pages.lists.showing import show
from instant.testing import capture_publications
from tests.pages.lists.conftest import Page, declare

ROWS = LogEntry.objects.values("object_repr").order_by("object_repr")


@pytest.fixture
def bob(transactional_db):
    return get_user_model().objects.create(username="bob")


def test_only_who_was_given_the_list_may_follow_it(follow, make, ann, bob):
    make("a")
    page = follow(ROWS, ann)
    name = page.shown.channel
    assert permissions.may(ann, "subscribe", name)
    assert not permissions.may(bob, "subscribe", name)
    assert not permissions.may(AnonymousUser(), "subscribe", name)
    assert not permissions.may(ann, "subscribe", "instant.list:0000")
    assert not permissions.may(ann, "publish", name)
    assert permissions.permitted([ann, bob, AnonymousUser()], name) == {ann.pk}
    follow(ROWS, bob)
    assert permissions.permitted([ann, bob], name) == {ann.pk, bob.pk}


def test_the_right_ends_unless_a_page_gives_it_again(follow, make, ann):
    page = follow(ROWS, ann)
    LiveListReader.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert not permissions.may(ann, "subscribe", page.shown.channel)
    follow(ROWS, ann)
    assert permissions.may(ann, "subscribe", page.shown.channel)
    LiveList.objects.update(expires_at=registry.kept_since())
    assert not permissions.may(ann, "subscribe", page.shown.channel)


def test_what_nobody_looks_at_is_forgotten(follow, make, ann, monkeypatch):
    page = follow(ROWS, ann)
    LiveList.objects.update(expires_at=registry.kept_since())
    make("a")
    assert page.follow().drawn == []
    monkeypatch.setattr(opening, "_looked", {})
    follow(ROWS.filter(action_flag=1), ann)
    assert LiveList.objects.count() == 1
    assert LiveListReader.objects.count() == 1


def test_a_reference_is_the_users_own(follow, make, ann, bob):
    entry = make("a")
    page, key = follow(ROWS, ann), str(entry.pk)
    ask = lambda user, text: fetching.rows_of(None, user, text, [key])  # noqa: E731
    assert ask(ann, page.shown.reference) == {"rows": {key: {"object_repr": "a"}}, "gone": []}
    for user, text in [
        (bob, page.shown.reference),
        (AnonymousUser(), page.shown.reference),
        (ann, "x" + page.shown.reference),
        (ann, reference.sign("fragment", {"l": page.shown.channel, "u": str(ann.pk)})),
        (ann, reference.sign("list", {"l": "nothing", "u": str(ann.pk)})),
    ]:
        with pytest.raises(fetching.NotGiven):
            ask(user, text)


def test_rows_that_are_not_in_the_list_are_gone_and_nothing_else(follow, make, ann):
    inside, outside = make("a", 1), make("secret", 2)
    page = follow(ROWS.filter(action_flag=1), ann)
    keys = [str(inside.pk), str(outside.pk), "0", "x"]
    found = fetching.rows_of(None, ann, page.shown.reference, keys[:3])
    assert found["gone"] == keys[1:3]
    assert "secret" not in str(found)
    assert fetching.rows_of(None, ann, page.shown.reference, ["x"])["gone"] == ["x"]
    sliced = follow(ROWS[:1], ann)
    assert fetching.rows_of(None, ann, sliced.shown.reference, keys[1:2])["gone"] == keys[1:2]


def test_what_leaves_tells_its_key_and_what_never_was_in_it_nothing(follow, make, ann, sent):
    entry = make("a", 1)
    page = follow(ROWS.filter(action_flag=1), ann)
    other = make("b", 2)
    other.object_repr = "c"
    other.save()
    other.delete()
    assert len(sent) == 0
    entry.action_flag = 2
    entry.save()
    assert [p.payload["data"]["ops"] for p in sent] == [[{"op": "leave", "key": str(entry.pk)}]]
    assert page.follow().drawn == []


@pytest.fixture
def visible(registry, monkeypatch):
    monkeypatch.setattr(following, "_labels", {})
    monkeypatch.setattr(following, "_declared", {})

    def visible_to(queryset, user):
        return queryset.filter(user=user.pk)

    declare(visible_to=visible_to)


def test_each_sees_what_the_models_own_rule_lets_them(visible, make, ann, bob, sent):

    make("a", user=ann)
    make("b", user=bob)
    pages = [Page(ROWS, sent, user) for user in (ann, bob)]
    assert pages[0].shown.channel == pages[1].shown.channel
    entry = make("aa", user=bob)
    make("c", user=ann)
    drawn = [[row["object_repr"] for row in page.follow().drawn] for page in pages]
    assert drawn == [["a", "c"], ["aa", "b"]]
    entry.user = ann
    entry.save()
    drawn = [[row["object_repr"] for row in page.follow().drawn] for page in pages]
    assert drawn == [["a", "aa", "c"], ["b"]]


def test_a_public_list_is_for_everybody(follow, make, ann, bob, monkeypatch):
    from instant.pages.lists.showing import show

    make("a")
    shown = show(ROWS, {"public": True}, user=ann, request=None)
    assert LiveListReader.objects.count() == 0
    assert permissions.may(bob, "subscribe", shown.channel)
    assert permissions.permitted([ann, bob], shown.channel) == {ann.pk, bob.pk}
    assert fetching.rows_of(None, bob, shown.reference, [])["rows"] == {}
    with capture_publications() as sent:
        entry = make("b")
    assert sent[0].payload["data"]["rows"] == {str(entry.pk): {"object_repr": "b"}}


def test_the_channel_is_there_only_where_a_model_says_so(registry, monkeypatch):
    monkeypatch.setattr(following, "_labels", {})
    monkeypatch.setattr(following, "_declared", {})
    channel.connect()
    assert registry == []


def test_visitors_who_may_not_connect_see_the_rows_and_follow_nothing(
    followed, make, ann, settings
):
    settings.INSTANT = {**settings.INSTANT, "ANONYMOUS": False}
    entry = make("a")
    shown = show(ROWS, {}, user=AnonymousUser(), request=None)
    assert (shown.rows, shown.channel) == ({str(entry.pk): {"object_repr": "a"}}, "")
    assert show(ROWS, {}, user=ann, request=None).channel
    assert LiveList.objects.count() == 1


def test_each_tenant_has_lists_of_its_own(follow, make, ann, tenants, sent):
    make("a")
    pages = {}
    for name in ("acme", "globex"):
        with tenants.activate(name):
            pages[name] = follow(ROWS, ann)
    acme, globex = pages.values()
    assert acme.shown.channel != globex.shown.channel
    with tenants.activate("acme"):
        make("b")
        assert permissions.may(ann, "subscribe", acme.shown.channel)
        assert not permissions.may(ann, "subscribe", globex.shown.channel)
        with pytest.raises(fetching.NotGiven):
            fetching.rows_of(None, ann, globex.shown.reference, [])
        acme.follow()
    assert {p.channel for p in sent} == {acme.shown.channel}
    assert [row["object_repr"] for row in acme.drawn] == ["a", "b"]


def test_one_transaction_may_change_lists_of_several_tenants(follow, make, ann, tenants, sent):
    pages = {}
    for name in ("acme", "globex"):
        with tenants.activate(name):
            pages[name] = follow(ROWS, ann)
    with tenants.activate("globex"), transaction.atomic(), tenants.activate("acme"):
        make("a")
    assert {p.channel for p in sent} == {pages["acme"].shown.channel}
    with transaction.atomic():
        for name in pages:
            with tenants.activate(name):
                make(name)
    for name, page in pages.items():
        with tenants.activate(name):
            rows = [row["object_repr"] for row in page.follow().drawn]
            assert rows == ["a", "acme", "globex"], "they share a table here"


def test_a_list_that_is_removed_while_it_is_opened_is_made_anew(follow, ann, make, monkeypatch):
    page = follow(ROWS, ann)
    LiveList.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    real = resting.has_room

    def has_room(label):
        LiveList.objects.all().delete()
        return real(label)

    monkeypatch.setattr(resting, "has_room", has_room)
    again = follow(ROWS, ann)
    assert again.shown.channel == page.shown.channel
    assert permissions.may(ann, "subscribe", again.shown.channel)


def test_what_is_for_everybody_is_what_nobody_in_particular_may_see(visible, make, ann, sent):
    make("a", user=ann)
    shown = show(ROWS, {"public": True}, user=ann, request=None)
    assert shown.rows == {}
    entry = make("b", user=ann)
    assert not sent[-1].payload["data"].get("rows")
    asked = fetching.rows_of(None, ann, shown.reference, [str(entry.pk)])
    assert asked == {"rows": {}, "gone": [str(entry.pk)]}


def test_a_visitor_who_follows_nothing_sees_what_they_may(visible, make, ann, sent, settings):
    settings.INSTANT = {**settings.INSTANT, "ANONYMOUS": False}
    entry = make("a", user=ann)
    assert show(ROWS, {}, user=AnonymousUser(), request=None).rows == {}
    assert show(ROWS, {}, user=None, request=None).rows == {}
    assert list(show(ROWS, {}, user=ann, request=None).rows) == [str(entry.pk)]


def test_a_child_says_for_itself_who_sees_it(monkeypatch):
    monkeypatch.setattr(following, "_declared", {AbstractUser: "parent", AbstractBaseUser: "far"})
    model = get_user_model()
    assert following.declaration_of(model) == "parent"
    following._declared[model] = "own"
    assert following.declaration_of(model) == "own"


@pytest.mark.parametrize("key", ["x", "\ud800", "9" * 40])
def test_a_key_that_none_can_be_is_gone(follow, ann, key):
    page = follow(ROWS, ann)
    assert fetching.rows_of(None, ann, page.shown.reference, [key])["gone"] == [key]


def test_neither_can_a_text_be_the_key_of_a_model_with_others(follow, ann, monkeypatch):
    page = follow(ROWS, ann)
    to_python = UUIDField().to_python
    monkeypatch.setattr(LogEntry._meta.pk, "get_prep_value", to_python)
    assert fetching.rows_of(None, ann, page.shown.reference, ["x"])["gone"] == ["x"]
