"""What a page whispers: the rule of what is published, and nobody keeps it."""

import asyncio

import pytest
from django.test import override_settings

from instant import Namespace, on_message, on_publish
from instant.handlers import Published, Refused
from instant.inbound.listening import mirror
from instant.inbound.listening.stream import Stream
from instant.models import Channel, Message
from instant.testing import capture_publications, publish_as
from tests.inbound.asking import DENIED, SECRET, error, publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]

WHISPER = {"instant:whisper": True}
SAID = {"channel": "room:1", "id": "a1", "tab": "t1", "event_class": "typing", "data": {"n": 1}}


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield


@pytest.fixture
def room(registry):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"
        client_publish = "ask"

        def can_publish(self, user, pk):
            return user.is_authenticated and pk == 1

    return Room


def test_the_history_is_skipped_by_the_rule_of_the_channel(room, make_user):
    ann = make_user("ann")
    assert publish(ann, "room:1", {**SAID, **WHISPER}) == {"result": {"skip_history": True}}
    assert publish(ann, "room:1", SAID) == {"result": {}}
    assert publish(ann, "room:2", {**SAID, **WHISPER}) == DENIED
    assert publish("", "room:1", {**SAID, **WHISPER}) == DENIED


@pytest.mark.parametrize("given", [1, "true", False, None])
def test_only_true_is_a_whisper(room, make_user, given):
    assert publish(make_user("ann"), "room:1", {**SAID, "instant:whisper": given}) == {"result": {}}


def test_a_handler_sees_it_and_knows(room, make_user):
    seen = []

    @on_publish(room)
    def moderate(call, pk):
        seen.append((call.whisper, call.event_class, call.data, dict(call.sent or {})))
        if call.data == "spam":
            raise Refused(409, "no spam")
        return Published({"m": 2}, event_class="wrote") if call.data == "other" else None

    ann = make_user("ann")
    marks = {key: SAID[key] for key in ("channel", "id", "tab")}
    assert publish(ann, "room:1", {**SAID, **WHISPER}) == {
        "result": {"data": {**SAID, **WHISPER}, "skip_history": True}
    }
    assert publish(ann, "room:1", {**SAID, "data": "other", **WHISPER}) == {
        "result": {
            "data": {**marks, "event_class": "wrote", "data": {"m": 2}, **WHISPER},
            "skip_history": True,
        }
    }
    spam = {**SAID, "data": "spam", **WHISPER}
    assert publish(ann, "room:1", spam) == error(409, "no spam")
    assert publish(ann, "room:1", SAID) == {"result": {"data": SAID}}
    assert [whisper for whisper, *_ in seen] == [True, True, True, False]
    # The mark is ours, and no part of what was sent.
    assert seen[0] == (True, "typing", {"n": 1}, marks)


def test_it_is_copied_to_nobody_who_listens_in_python(room, make_user, monkeypatch):
    copied = []
    monkeypatch.setattr(mirror, "defer", lambda _connection, copies: copied.extend(copies))

    @on_message("room:*")
    def heard(message):
        raise AssertionError

    ann = make_user("ann")
    publish(ann, "room:1", {**SAID, **WHISPER})
    assert copied == []
    publish(ann, "room:1", SAID)
    assert len(copied) == 1


def test_it_is_not_stored_and_makes_no_channel(make_user, make_channel, settings):
    settings.INSTANT = {**settings.INSTANT, "STORE": {"MESSAGES": "cacheall", "CREATE": True}}
    root = make_user("root", is_superuser=True)
    with capture_publications():
        assert publish(root, "$new", {**SAID, **WHISPER}) == DENIED
        assert not Channel.objects.exists()
        make_channel("$team", "users", publish_level="subscribers")
        whispered = publish(root, "$team", {**SAID, **WHISPER})
        assert whispered == {"result": {"skip_history": True}}
        assert not Message.objects.exists()
        publish(root, "$team", SAID)
        publish(root, "$new", SAID)
    assert Message.objects.count() == 2
    assert Channel.objects.count() == 2


def test_tests_publish_it_as_a_page_does(room, make_user):
    seen = []

    @on_publish(room)
    def moderate(call, pk):
        seen.append(call.whisper)

    assert publish_as(make_user("ann"), "room:1", {**SAID, **WHISPER}) == {**SAID, **WHISPER}
    assert publish_as(make_user("bob"), "room:1", {"event_class": "typing"}, whisper=True) == {
        "event_class": "typing",
        **WHISPER,
    }
    publish_as(make_user("eve"), "room:1", {"event_class": "typing"})
    assert seen == [True, True, False]


def test_python_that_listens_to_the_channel_does_not_hear_it():
    async def heard():
        stream = Stream(["room:1"], {"room:1": (4, "e")}, tenant="")
        await stream.take("room:1", {**SAID, **WHISPER}, 0)
        await stream.take("room:1", SAID, 5)
        # In a history it is a message like others: the server keeps it, having asked nobody.
        await stream.take("room:1", {**SAID, **WHISPER}, 6)
        return [(await stream._queue.get()).offset for _ in range(stream._queue.qsize())]

    assert asyncio.run(heard()) == [5, 6]
