"""The server that users start in their own tests."""

import socket

import pytest
from django.test import Client, TransactionTestCase

from instant import apublish, backends, publish
from instant.backends.locmem import LocmemBackend
from instant.testing import instant_server as run_server
from tests.live.subscriber import Subscriber
from tests.ports import free_port

pytestmark = pytest.mark.timed


def subscribe(*names):
    """Connect as a page of the test client's visitor and subscribe."""
    response = Client().post(
        "/instant/get_token/",
        {"channels": list(names)},
        content_type="application/json",
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    grants = response.json()
    subscriber = Subscriber(grants["url"], origin="http://testserver")
    assert "connect" in subscriber.connect(grants["ws_token"])
    for channel in grants["channels"]:
        assert "subscribe" in subscriber.subscribe(channel["name"], channel["token"])
    return subscriber


class EndToEnd(TransactionTestCase):
    def test_a_message_arrives(self):
        from instant.models import Channel

        Channel.objects.create(name="public", level="public")
        with run_server() as server:
            assert server.url == f"ws://127.0.0.1:{server.port}/connection/websocket"
            subscriber = subscribe("public")
            assert publish("public", "hello").offset == 1
            [(channel, data)] = subscriber.publications(1)
            subscriber.close()
        assert (channel, data["message"]) == ("public", "hello")


@pytest.mark.django_db(transaction=True)
def test_the_fixture(instant_server, make_channel):
    make_channel("public")
    subscriber = subscribe("public")
    publish("public", "hello")
    assert len(subscriber.publications(1)) == 1
    subscriber.close()


async def test_from_async_tests():
    with run_server():
        assert (await apublish("public", "hello")).offset == 1


def test_two_servers_have_nothing_in_common():
    with run_server():
        first = publish("public", "x")
        with run_server():
            assert publish("public", "x").epoch != first.epoch
        assert publish("public", "x").offset == 2


def test_afterwards_the_port_is_free_and_the_backend_as_before():
    with run_server(port=free_port()) as server:
        pass
    assert isinstance(backends.get_backend(), LocmemBackend)
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_it_ends_also_when_the_test_fails():
    def work():
        with run_server() as server:
            found.append(server.port)
            raise LookupError

    found = []
    with pytest.raises(LookupError):
        work()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", found[0])):
        pass


def test_a_taken_port_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError), run_server(port=port):
            pass


def test_config_is_completed():
    config = {"channel": {"namespaces": [{"name": "chat", "history_size": 5, "history_ttl": "9s"}]}}
    with run_server(config):
        assert publish("chat:1", "x").offset == 1
        assert publish("user:1", "x").offset == 1
