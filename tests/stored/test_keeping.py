"""Which publications become messages, and what a wrong setting does."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import QuerySet

from instant import Namespace, broadcast, publish, user_channel
from instant.backends.locmem import LocmemBackend
from instant.deliveries import Stored
from instant.models import Channel, Message
from instant.stored import keep, rules
from instant.stored.browser_publishing import keep_page
from instant.stored.note import Note, noted

pytestmark = pytest.mark.django_db


@pytest.fixture
def room(registry):
    class Room(Namespace):
        name, pattern, delivery, rows = "room", "<int:pk>", Stored("store"), True

    return Room


def channels():
    return [one.channel for one in Message.objects.all()]


def test_a_users_own_channel_is_stored_where_that_is_noted_alone(make_user, store):
    store(MESSAGES="store")
    own = user_channel(make_user("ann"))
    publish(own, "x")
    assert channels() == []
    with noted(Note(always=True)):
        publish(own, "y")
    assert channels() == [own]


def test_always_stores_whatever_the_row_and_the_namespace_say(registry, make_channel, store):
    class Other(Namespace):
        name, pattern = "other", "<int:pk>"

    store(MESSAGES="disabled")
    make_channel("news", store="disabled")
    with noted(Note(always=True)):
        publish("news", "x")
        publish("other:1", "x")
        publish("nobodys", "x")  # and nobody could read it
    assert sorted(channels()) == ["news", "other:1"]


def test_never_stores_nothing(room):
    with noted(Note(never=True)):
        publish("room:1", "x")
    assert channels() == []


def test_a_row_in_a_namespace_says_more_than_the_namespace(room, store):
    store(MESSAGES="disabled")
    Channel.objects.create(name="$room:1", level="users", store="disabled")
    Channel.objects.create(name="$room:2", level="users", store="store")
    publish("room:3", "of the namespace alone")
    for name in ("$room:1", "$room:2"):
        publish(name, "of a row")
    assert channels() == ["room:3", "$room:2"]


def test_without_the_setting_the_namespace_says_it(room):
    """No row is asked."""
    publish("room:1", "x")
    assert channels() == ["room:1"]


def test_names_are_asked_some_at_a_time(make_channel, store, monkeypatch):
    monkeypatch.setattr(keep, "_AT_ONCE", 2)
    store(MESSAGES="store")
    names = [f"news{number}" for number in range(5)]
    for name in names:
        make_channel(name)
    broadcast([*names, "nobodys"], "x")
    assert channels() == names


def test_a_wrong_setting_is_told_by_whatever_sends(settings, registry):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "sometimes"}}
    assert not rules.are_rows_asked()
    assert not rules.is_used()


def test_requests_without_a_setting_of_their_own(store, settings):
    store(RESPONSES="cache")
    assert rules.of_row("", role=rules.RESPONSES) == ("cache", "INSTANT['STORE']['RESPONSES']")
    assert rules.of_row("", role=rules.REQUESTS).rule == "disabled"
    settings.INSTANT = {key: value for key, value in settings.INSTANT.items() if key != "STORE"}
    assert rules.of_row("store") == ("disabled", "INSTANT['STORE'] isn't set")
    assert not rules.of_row("store").stores


def test_what_a_page_publishes_where_nothing_is_stored(make_user, django_assert_num_queries):
    data = {"message": "x"}
    ann = make_user("ann")
    with django_assert_num_queries(0):
        assert keep_page(ann, "news", data) is data


def test_the_command_says_how_many(capsys):
    call_command("collect_messages")
    assert capsys.readouterr().out == "0 stored messages were deleted.\n"


def test_what_mysql_leaves_out_is_an_error(room, monkeypatch, as_vendor):
    """Its INSERT IGNORE takes whatever is wrong for a row that is there already."""
    publish("room:1", "there", idempotency_key="k")
    as_vendor("mysql")
    publish("room:1", "there", idempotency_key="k")
    monkeypatch.setattr(QuerySet, "bulk_create", lambda *_, **__: [])
    publish("room:1", "there", idempotency_key="k")
    with pytest.raises(IntegrityError, match=r"left out 1 of 2 rows, of which one is .*room:2"):
        broadcast(["room:1", "room:2"], "x", idempotency_key="k")


class TestOfAnotherDatabasesTransaction:
    pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

    def test_what_is_rolled_back_there_is_not_stored(self, room, publications):
        with transaction.atomic(using="other"):
            publish("room:1", "x", using="other")
            transaction.set_rollback(True, using="other")
        assert (channels(), list(publications)) == ([], [])

    def test_what_is_committed_there_is_stored_and_then_sent(self, room, make_user, monkeypatch):
        there = []
        monkeypatch.setattr(LocmemBackend, "send", lambda *_: there.append(channels()))
        ann = make_user("ann")
        with transaction.atomic(using="other"), noted(Note(sender=ann, context=[1])):
            publish("room:1", "x", using="other")
            assert channels() == []
        assert there == [["room:1"]]
        [message] = Message.objects.all()
        assert (message.sender, message.context) == (ann, "[1]")

    def test_what_goes_at_once_is_stored_at_once(self, room, publications):
        with transaction.atomic(using="other"):
            publish("room:1", "x", using="other", on_commit=False)
            assert channels() == ["room:1"]

    def test_where_that_fails_it_is_logged_and_sent(self, room, publications, monkeypatch, caplog):
        def fails(messages):
            raise DatabaseError("disk full")

        monkeypatch.setattr(keep, "write", fails)
        with transaction.atomic(using="other"):
            publish("room:1", "x", using="other")
        publications.assert_published("room:1", "x")
        assert "messages of room:1 were not stored" in caplog.text
