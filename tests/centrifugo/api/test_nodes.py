"""Presence where each node knows only its own: asked of all of them, and put together."""

import json
import threading
import time

import pytest

from instant.centrifugo.api import channel_state
from instant.centrifugo.api.client import Client
from instant.centrifugo.api.commands import Channels, Position, Presence, PresenceStats, Unsubscribe
from instant.centrifugo.api.nodes import Nodes, Partial
from instant.exceptions import PublishError, PublishTimeout, ServerUnreachable, UnknownNamespace
from tests.ports import free_port
from tests.servers import RawServer


class Node:
    """A node's API: who is on it, and how many nodes it counts."""

    def __init__(self, users, count=2):
        self.users, self.count = users, count
        self.error = None
        self.server = RawServer(self._answer)
        self.url = self.server.url

    def _answer(self, connection):
        while True:
            _, body = connection.read_request()
            asked = json.loads(body)
            if "commands" in asked:
                reply = {"replies": [self._reply(one) for one in asked["commands"]]}
            else:
                reply = {"result": self._reply({"presence": asked})["presence"]}
            connection.answer(json.dumps(reply).encode())

    def _reply(self, command):
        [method] = command
        if method == "info":
            return {"info": {"nodes": [{"uid": str(n)} for n in range(self.count)]}}
        if self.error is not None:
            return {"error": self.error}
        clients = {
            f"{self.url}/{n}": {"client": str(n), "user": user} for n, user in enumerate(self.users)
        }
        found = {
            "presence": {"presence": clients},
            "presence_stats": {"num_clients": len(clients), "num_users": len({*self.users})},
            "channels": {"channels": {"a": {}}},
            "history": {"epoch": "e"},
        }
        return {method: found.get(method, {})}

    @property
    def asked(self):
        return len(self.server.requests)


@pytest.fixture
def node():
    made = []

    def make(*users, **options):
        made.append(Node(users, **options))
        return made[-1]

    yield make
    for one in made:
        one.server.close()


def client(*nodes):
    return Client(nodes[0].url, "key", nodes=[one.url for one in nodes])


def test_who_is_present_on_any_node(node):
    a, b = node("ann", "bob", "bob"), node("bob", "")
    commands = [Presence("x"), PresenceStats("x")]
    assert client(a, b).run(commands, 5) == [{"ann", "bob", ""}, (5, 4)]


def test_other_commands_are_for_one_node(node):
    a, b = node(), node()
    assert client(a, b).run([Channels("*")], 5) == [{"a"}]
    assert client(a, b).run([Unsubscribe("ann", "x")], 5) == [None]
    assert (a.asked, b.asked) == (2, 0)


def test_what_one_node_does_not_know_the_server_does_not(node):
    """A namespace that keeps nothing has another error where it is known."""
    a, b, c = node(count=3), node(count=3), node(count=3)
    nodes = client(a, b, c).at_each([a.url, b.url, c.url])
    a.error = c.error = {"code": 108, "message": "not available"}
    [found] = nodes.run([Position("x:")], 5)
    assert found.code == 108
    b.error = {"code": 102, "message": "unknown channel"}
    [found] = nodes.run([Position("x:")], 5)
    assert isinstance(found, UnknownNamespace)


def test_a_node_that_is_not_named_is_missed(node):
    a, b = node("ann", count=3), node("bob", count=3)
    [found] = client(a, b).run([Presence("x")], 5)
    assert found.result == {"ann", "bob"}
    assert "The server has 3 nodes" in str(found.error)


def test_a_node_that_is_silent_is_missed_as_long_as_the_others_count_it(node):
    a = node("ann")
    now = [0.0]
    gone = f"http://127.0.0.1:{free_port()}"
    nodes = Nodes([a.url, gone], {}, clock=lambda: now[0])
    for _ in range(2):  # the second time it isn't asked
        [found] = nodes.run([Presence("x")], 5)
        assert isinstance(found, Partial)
        assert found.result == {"ann"}
        assert isinstance(found.error, ServerUnreachable)
    a.count = 1
    assert nodes.run([Presence("x")], 5) == [{"ann"}]


def test_a_node_that_hangs_takes_its_share_of_the_time_and_no_more(node):
    a, b = node("ann"), node("bob")
    hanging = threading.Event()
    a.server._behave = lambda connection: hanging.wait(60)
    try:
        begin = time.monotonic()
        [found] = client(a, b).run([Presence("x")], 1)
        assert time.monotonic() - begin < 1
        assert found.result == {"bob"}
        assert isinstance(found.error, PublishTimeout)
    finally:
        hanging.set()


def test_a_node_that_comes_back_is_asked_again(node):
    a = node("ann")
    now = [0.0]
    port = free_port()
    nodes = Nodes([a.url, f"http://127.0.0.1:{port}"], {}, clock=lambda: now[0])
    nodes.run([Presence("x")], 5)
    b = Node(["bob"])
    b.server.close()
    b.server = RawServer(b._answer, port=port)
    try:
        assert isinstance(nodes.run([Presence("x")], 5)[0], Partial)
        now[0] = 11.0
        assert nodes.run([Presence("x")], 5) == [{"ann", "bob"}]
    finally:
        b.server.close()


def test_where_none_answers_it_raises():
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    nodes = Nodes(urls, {})
    for _ in range(2):
        with pytest.raises(ServerUnreachable):
            nodes.run([Presence("x")], 5)


def test_what_a_node_refuses_is_an_error_for_that_command(node):
    a, b = node("ann"), node("bob")
    b.error = {"code": 102, "message": "unknown channel"}
    [found] = client(a, b).run([Presence("x")], 5)
    assert isinstance(found, UnknownNamespace)


def test_pages_see_who_is_present_on_the_nodes_that_answer(node):
    a, b = node("ann"), node("bob")
    both = client(a, b)

    def users():
        return {one["user"] for one in channel_state.presence(both, "x", 5).values()}

    assert users() == {"ann", "bob"}
    b.server.close()
    assert users() == {"ann"}
    a.server.close()
    with pytest.raises(PublishError):
        users()
