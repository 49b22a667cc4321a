"""Declared namespaces on servers that run: rules, deliveries, and a reload that drops nobody."""

import json
import signal
import time
from datetime import timedelta

import pytest
from django.test import Client

from instant import Namespace, conf, namespaces, publish
from instant.deliveries import AtMostOnce, Latest, Recoverable
from instant.exceptions import UnknownNamespace
from instant.server.sync import compare, write
from tests.live.servers import LiveServer, use
from tests.live.subscriber import Subscriber
from tests.real_server import KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]


class Declarations:
    def __init__(self, registry):
        registry.clear()
        self.order = type(
            "Order",
            (Namespace,),
            {
                "name": "order",
                "pattern": "<int:pk>",
                "delivery": Recoverable(size=10, ttl=timedelta(minutes=1)),
                "can_subscribe": lambda self, user, pk: user.is_authenticated and pk == 1,
            },
        )
        self.price = type(
            "Price",
            (Namespace,),
            {"name": "price", "pattern": "<str:sku>", "delivery": Latest(), "authorize": "open"},
        )
        self.tick = type(
            "Tick",
            (Namespace,),
            {
                "name": "tick",
                "pattern": "all",
                "delivery": AtMostOnce(),
                "can_subscribe": lambda self, user: True,
                "client_publish": "subscribers",
            },
        )


@pytest.fixture
def declared(monkeypatch):
    registry = []
    monkeypatch.setattr(namespaces, "_registry", registry)
    return Declarations(registry)


@pytest.fixture(params=KINDS)
def live(request, tmp_path):
    """A server that runs without any declared namespace."""
    server = LiveServer(request.param, tmp_path)
    server.start()
    with use(server, ALLOWED_ORIGINS=["http://testserver"]):
        yield server
    server.kill()


def reload(live):
    sync = compare(conf.current())
    assert not sync.needs_restart
    write(sync)
    live.process.send_signal(signal.SIGHUP)


def until_known(channel):
    """Publish until the server has read its config again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return publish(channel, data=0)
        except UnknownNamespace:
            time.sleep(0.01)
    raise AssertionError("the server did not read its config again")


def connect(client):
    grants = client.post(
        "/instant/get_token/",
        json.dumps({"channels": ["order:1", "order:2", "price:x", "tick:all"]}),
        content_type="application/json",
        headers={"Sec-Fetch-Site": "same-origin"},
    ).json()
    subscriber = Subscriber(grants["url"].replace("testserver", "127.0.0.1"))
    subscriber.connect(grants["ws_token"])
    return subscriber, {channel["name"]: channel["token"] for channel in grants["channels"]}


def test_reload_adds_namespaces_and_drops_nobody(live, declared, make_user):
    client = Client()
    client.force_login(make_user())
    with pytest.raises(UnknownNamespace):
        publish(declared.order.channel(pk=1), data=1)
    subscriber, tokens = connect(client)
    assert set(tokens) == {"order:1", "price:x", "tick:all"}
    reload(live)
    until_known("tick:all")
    # The same connection, and what was refused a moment ago.
    assert "subscribe" in subscriber.subscribe("order:1", tokens["order:1"])
    publish(declared.order.channel(pk=1), data="shipped")
    assert [d["data"] for _, d in subscriber.publications(1)] == ["shipped"]

    # order:2 is somebody else's: no token, and none opens nothing.
    assert subscriber.subscribe("order:2")["error"]["code"] == 103

    # An open one has a token for anybody, and its newest message comes at once.
    publish("price:x", data=1)
    publish("price:x", data=2)
    anonymous, theirs = connect(Client())
    assert set(theirs) == {"price:x", "tick:all"}
    assert anonymous.subscribe("price:x")["error"]["code"] == 103
    reply = anonymous.subscribe("price:x", theirs["price:x"])["subscribe"]
    assert [p["data"]["data"] for p in reply["publications"]] == [2]
    assert anonymous.subscribe("tick:all")["error"]["code"] == 103

    # Subscribers may publish where the declaration says so, and nowhere else.
    subscriber.subscribe("tick:all", tokens["tick:all"])
    assert subscriber.ask(publish={"channel": "tick:all", "data": {"x": 1}})["publish"] == {}
    refused = subscriber.ask(publish={"channel": "order:1", "data": {"x": 1}})
    assert refused["error"]["code"] == 103
    assert publish("tick:all", data=1).offset is None  # nothing is kept
    anonymous.close()
    subscriber.close()
