"""What lists cost that nobody watches, and how many there may be."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant import permissions
from instant.backends import replaced
from instant.centrifugo.api.breaker import Breaker
from instant.exceptions import PublishError
from instant.models import LiveList, LiveListReader
from instant.pages.lists import opening, registry, resting
from instant.pages.lists.audience import heard
from instant.pages.lists.showing import show
from tests.revoking.conftest import FakeBackend

ROWS = LogEntry.objects.values("object_repr").order_by("object_repr")


def search(text, user=None):
    """Show what somebody has typed, as a page that nobody watches yet."""
    rows = ROWS.filter(object_repr__contains=text)
    return show(rows, {}, user=user or AnonymousUser(), request=None)


def later(**more):
    """Let time pass: as much less is left for lists and for who was given them."""
    for model in (LiveList, LiveListReader):
        for row in model.objects.all():
            row.expires_at -= timedelta(**more)
            row.save()


def asked_of_entries(make):
    with CaptureQueriesContext(connection) as queries:
        make("x")
    return sum("SELECT" in q["sql"] and "django_admin_log" in q["sql"] for q in queries)


class Everything:
    def __contains__(self, name):
        return name.startswith("instant.list:")


Nothing = frozenset


@pytest.fixture(autouse=True)
def looked(monkeypatch):
    for module in (resting, opening):
        monkeypatch.setattr(module, "_looked", {})
    monkeypatch.setattr(resting, "_told", {})


@pytest.fixture(name="heard")
def what_is_heard(monkeypatch):
    """Who hears which channels, as the server says it."""
    found = {"asked": 0, "channels": Nothing()}

    def say(pattern):
        assert pattern == "instant.list:*"
        found["asked"] += 1
        return found["channels"]

    monkeypatch.setattr(resting, "heard", say)
    return found


def test_a_list_that_nobody_has_subscribed_to_costs_saves_nothing_after_a_minute(
    followed, make, sent
):
    search("a")
    assert asked_of_entries(make) == 1
    later(seconds=61)
    assert asked_of_entries(make) == 0


def test_one_that_somebody_has_subscribed_to_is_followed_on(follow, make, ann):
    page = follow(ROWS, ann)
    assert permissions.may(ann, "subscribe", page.shown.channel)
    later(seconds=3600)
    make("a")
    assert page.follow().drawn == [{"object_repr": "a"}]


def test_who_comes_late_is_told_that_they_have_missed_something(follow, make, ann, sent):
    """As a laptop that slept, or a page that a cache has kept; also where no key has changed."""
    entry = make("a")
    page = follow(ROWS, ann)
    later(seconds=61)
    entry.object_repr = "b"
    entry.save()
    assert sent[page.seen :] == []
    assert permissions.may(ann, "subscribe", page.shown.channel)
    assert [p.payload["data"].get("reset") for p in sent[page.seen :]] == [True]
    assert page.follow().drawn == [{"object_repr": "b"}]
    make("c")
    assert page.follow().drawn == [{"object_repr": "b"}, {"object_repr": "c"}]


def test_another_page_that_is_made_meanwhile_hides_nothing_from_it(follow, make, ann):
    entry = make("a")
    first = follow(ROWS, ann)
    later(seconds=61)
    entry.object_repr = "b"
    entry.save()
    second = follow(ROWS, ann)
    assert second.follow().drawn == [{"object_repr": "b"}]
    assert second.asked == 0
    assert first.follow().drawn == [{"object_repr": "b"}]


def test_whom_a_check_asks_for_wakes_nothing(follow, ann, make):
    page = follow(ROWS, ann)
    later(seconds=61)
    assert permissions.permitted([ann], page.shown.channel) == {ann.pk}
    assert asked_of_entries(make) == 0


def test_a_list_that_nobody_watches_any_more_rests(follow, make, ann, heard):
    page = follow(ROWS, ann)
    permissions.may(ann, "subscribe", page.shown.channel)
    assert (asked_of_entries(make), heard["asked"]) == (1, 0), "somebody may be on the way"
    later(seconds=150)
    heard["channels"] = Everything()
    assert (asked_of_entries(make), heard["asked"]) == (1, 1)
    later(seconds=150)
    resting._looked.clear()
    heard["channels"] = None  # the server can't be asked
    assert (asked_of_entries(make), heard["asked"]) == (1, 2)
    assert (asked_of_entries(make), heard["asked"]) == (1, 2), "not with each save"
    resting._looked.clear()
    heard["channels"] = Nothing()
    assert (asked_of_entries(make), heard["asked"]) == (1, 3)
    assert asked_of_entries(make) == 0
    assert permissions.may(ann, "subscribe", page.shown.channel)
    assert len(page.follow().drawn) == 6


def test_who_comes_while_the_server_is_asked_keeps_the_list(follow, make, ann, monkeypatch):
    page = follow(ROWS, ann)
    permissions.may(ann, "subscribe", page.shown.channel)
    later(seconds=150)

    def say(pattern):
        assert permissions.may(ann, "subscribe", page.shown.channel)
        return Nothing()

    monkeypatch.setattr(resting, "heard", say)
    make("a")
    assert LiveList.objects.get().expires_at > timezone.now() + timedelta(hours=2)
    make("b")
    assert len(page.follow().drawn) == 2


@pytest.fixture
def at_most_two(settings):
    settings.INSTANT = {**settings.INSTANT, "LIST_LIMIT": 2}


def test_what_is_shown_to_nobody_in_particular_makes_room(at_most_two, followed, make, ann):
    entry = make("abc")
    first = search("a", ann)
    assert permissions.may(ann, "subscribe", first.channel)
    for text in ("b", "c", "ab", "bc"):
        assert search(text, ann).channel
    assert LiveList.objects.filter(expires_at__gt=timezone.now()).count() == 2
    assert asked_of_entries(make) == 2
    entry.delete()
    assert permissions.may(ann, "subscribe", first.channel)


def test_a_page_beyond_what_may_be_followed_shows_its_rows(
    at_most_two, followed, make, ann, heard, caplog
):
    heard["channels"] = Everything()
    entry = make("abc")
    for text in ("a", "b"):
        assert permissions.may(ann, "subscribe", search(text, ann).channel)
    late = search("c", ann)
    assert search("c", ann).channel == ""
    assert (late.channel, late.state) == ("", None)
    assert late.rows == {str(entry.pk): {"object_repr": "abc"}}
    assert caplog.text.count("INSTANT['LIST_LIMIT']") == 1
    assert search("a", ann).channel, "the same list again is none more"
    later(seconds=150)
    resting._looked.clear()
    heard["channels"] = Nothing()
    assert search("c", ann).channel, "nobody watches the others any more"


def test_nor_may_one_be_woken_beyond_it(at_most_two, followed, make, ann, heard):
    heard["channels"] = Everything()
    names = [search(text, ann).channel for text in ("a", "b", "c")]
    may = [permissions.may(ann, "subscribe", name) for name in names]
    assert sum(may) == 2
    assert LiveList.objects.filter(expires_at__gt=timezone.now()).count() == 2


def test_the_limit_is_one_models_and_one_tenants(at_most_two, followed, make, ann, request):
    tenants = request.getfixturevalue("tenants")
    for name in ("acme", "globex"):
        with tenants.activate(name):
            for text in ("a", "b"):
                assert permissions.may(ann, "subscribe", search(text, ann).channel)


def test_those_that_rest_do_not_fill_the_table(at_most_two, followed, make, ann):
    for number in range(50):
        search(str(number), ann)
    assert LiveList.objects.count() <= 20
    assert LiveListReader.objects.count() <= 20


def test_where_no_list_is_followed_a_save_asks_one_short_question(followed, make, ann):
    with CaptureQueriesContext(connection) as queries:
        make("x")
    [asked] = [q["sql"] for q in queries if "SELECT" in q["sql"]]
    assert asked.startswith("SELECT 1 FROM")


def test_what_another_transaction_has_made_and_ours_does_not_see(followed, ann, monkeypatch):
    """MySQL repeats its reads: the list is there when we add it, and not when we look for it."""
    search("a", ann)
    real, blind = opening.registry.own, [True, True]

    class Blind:
        """What reads the past until it reads to write."""

        def __init__(self, rows):
            self.rows, self.db = rows, rows.db

        def filter(self, **wanted):
            found = self.rows.filter(**wanted)
            blind.pop()
            return Past(found)

    class Past:
        def __init__(self, rows):
            self.db, self.select_for_update = rows.db, rows.select_for_update

        def first(self):
            return None

    monkeypatch.setattr(opening.registry, "own", lambda: Blind(real()) if blind else real())
    monkeypatch.setattr(resting, "has_room", lambda label: True)
    assert search("a", ann).channel
    assert LiveList.objects.count() == 1


def test_the_server_says_which_lists_somebody_hears(settings, tenants):
    class Fake(FakeBackend):
        def client(self):
            self.fake.breaker = Breaker("", None)
            return self.fake

    backend = Fake()
    with replaced(backend):
        assert heard("instant.list:*") == set()
        backend.fake.inside = {"instant.list:acme/ab": {"1"}, "instant.list:globex/cd": {"1"}}
        with tenants.activate("acme"):
            assert heard("instant.list:*") == {"instant.list:ab"}
        backend.fake.error = PublishError("It is away.")
        assert heard("instant.list:*") is None
    assert heard("instant.list:*") is None, "there is no server"


def test_what_is_removed_while_somebody_comes_for_it(followed, ann, make):
    shown = search("a", ann)
    row = LiveList.objects.get()
    resting.remove([row.pk])
    assert permissions.may(ann, "subscribe", shown.channel), "it doesn't rest any more"
    later(days=1)
    resting.remove([row.pk])
    assert not LiveList.objects.exists()
    registry.let(row, "7")  # as a page that has just found it
    assert not LiveListReader.objects.exists()
