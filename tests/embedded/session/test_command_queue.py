"""The order in which a client's commands are handled, and when others have their turn."""

import json

import pytest

from instant.embedded.session.command_queue import TURN, CommandQueue
from tests.embedded.fakes import CONFIG, Client, FakePeer, make_broker


@pytest.fixture
def peer():
    return FakePeer()


def handled_by(peer, replies=0, most=100):
    """Return a queue, and the list of what it has had handled; a reply has `replies` bytes."""
    found = []

    def handle(text):
        found.append(text)
        queue.replied(replies)

    queue = CommandQueue(handle, peer, most)
    return queue, found


def test_a_few_commands_are_handled_in_a_turn(peer):
    queue, found = handled_by(peer)
    queue.add(map(str, range(3 * TURN)))
    assert len(found) == TURN
    for turns in (2, 3):
        assert queue.busy
        (go_on,) = peer.paused
        peer.paused.clear()
        go_on()
        assert found == [str(n) for n in range(turns * TURN)]
    assert not queue.busy
    assert peer.paused == []


def test_a_turn_is_no_longer_if_the_commands_come_in_many_frames(peer):
    queue, found = handled_by(peer)
    for n in range(TURN + 1):
        queue.add([str(n)])
    assert len(found) == TURN
    queue.add(["last"])
    assert queue.busy
    peer.paused.pop()()
    assert found == [*map(str, range(TURN + 1)), "last"]


def test_a_turn_ends_when_replies_are_more_than_may_wait(peer):
    queue, found = handled_by(peer, replies=51, most=100)
    queue.add("abc")
    assert found == ["a", "b"]
    peer.paused.pop()()
    assert found == ["a", "b", "c"]


def test_the_application_is_waited_for_and_others_too(peer):
    queue, found = handled_by(peer)
    queue.asking()
    queue.add(map(str, range(TURN + 2)))
    assert found == []
    queue.answered()
    queue.run()
    queue.asking()
    assert len(found) == TURN
    peer.paused.pop()()
    assert len(found) == TURN
    queue.answered()
    queue.run()
    assert len(found) == TURN + 2


def test_more_requests_at_once(peer):
    queue, found = handled_by(peer)
    queue.at_once = 2
    queue.asking()
    queue.add("a")
    queue.asking()
    queue.add("b")
    assert found == ["a"]


def test_what_waits_is_forgotten_when_the_connection_ends(peer):
    queue, found = handled_by(peer)
    queue.add(map(str, range(2 * TURN)))
    queue.clear()
    peer.paused.pop()()
    assert len(found) == TURN


def test_a_session_stops_where_its_replies_are_too_much():
    client = Client(make_broker({**CONFIG, "client": {**CONFIG["client"], "queue_max_size": 9000}}))
    client.connect(exp=600)
    options = client.broker.names.options("open:1")
    for _ in range(4):
        position = client.broker.publish("open:1", json.dumps("x" * 1000), options)
    recover = {"channel": "open:1", "recover": True, "offset": 0, "epoch": position.epoch}
    commands = [{"subscribe": recover}, {"unsubscribe": {"channel": "open:1"}}] * 5
    client.session.receive(
        "\n".join(json.dumps({"id": n, **command}) for n, command in enumerate(commands, 10))
    )
    # Three replies of 4 kB are more than 9 kB; nothing else is made before they are written.
    assert [reply["id"] for reply in client.take()] == [10, 11, 12, 13, 14]
    client.session.disconnected()
    client.peer.paused.pop()()
    assert client.take() == []
