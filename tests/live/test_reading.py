"""Presence, history and snapshots, from servers that run."""

import json
from datetime import timedelta

import pytest
from django.test import Client

from instant import Namespace, conf, publish
from instant.deliveries import AtMostOnce, Recoverable
from instant.rights.tokens import Signer
from instant.server import sync
from tests.live.servers import LiveServer, use
from tests.live.subscriber import Subscriber
from tests.real_server import KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def declared(registry):
    def everybody(self, user, pk):
        return True

    def declare(name, **attributes):
        rules = dict.fromkeys(("can_subscribe", "can_see_presence", "can_read_history"), everybody)
        return type(
            name, (Namespace,), {"name": name, "pattern": "<int:pk>", **rules, **attributes}
        )

    def state(self, user, pk):
        publish(f"order:{pk}", data="meanwhile", on_commit=False)
        return {"pk": pk}

    declare("order", delivery=Recoverable(size=5, ttl=timedelta(minutes=1)), snapshot=state)
    declare("tick", delivery=AtMostOnce(), snapshot=lambda self, user, pk: "tick")


@pytest.fixture(params=KINDS)
def live(request, tmp_path, declared):
    server = LiveServer(request.param, tmp_path)
    with use(server, ALLOWED_ORIGINS=["http://testserver"]):
        sync.write(sync.compare(conf.current()))
        server.start()
        yield server
    server.kill()


@pytest.fixture
def ask(db):
    client = Client(headers={"Sec-Fetch-Site": "same-origin"})

    def ask(name, channel, status=200, **body):
        body = json.dumps({"channel": channel, **body})
        response = client.post(f"/instant/{name}/", body, "application/json")
        assert response.status_code == status, response.content
        return response.json()

    return ask


def test_presence(live, ask, make_user):
    ann = make_user("ann")
    assert ask("presence", "order:1") == {"clients": {}}
    page = Subscriber(live.url)
    client = page.connect(Signer(ann).connection_token().value)["connect"]["client"]
    token = Signer(ann).channel_token("order:1", info={"name": "ann"}).value
    assert "subscribe" in page.subscribe("order:1", token)
    assert ask("presence", "order:1") == {
        "clients": {client: {"user": str(ann.pk), "info": {"name": "ann"}}}
    }
    page.close()


def test_history(live, ask):
    assert ask("history", "order:1")["publications"] == []
    for number in range(1, 8):
        publish("order:1", data=number)
    found = ask("history", "order:1")
    assert [one["data"]["data"] for one in found["publications"]] == [3, 4, 5, 6, 7]
    assert [one["offset"] for one in found["publications"]] == [3, 4, 5, 6, 7]
    assert found["offset"] == 7
    since = {"offset": 5, "epoch": found["epoch"]}
    assert [p["offset"] for p in ask("history", "order:1", since=since)["publications"]] == [6, 7]
    newest = ask("history", "order:1", limit=2, reverse=True)["publications"]
    assert [one["offset"] for one in newest] == [7, 6]
    assert ask("history", "order:1", limit=0) == {**found, "publications": []}
    assert "epoch" in ask("history", "order:1", 400, since={"offset": 1, "epoch": "other"})["error"]


def test_a_snapshot_misses_nothing(live, ask, make_user):
    """What is published while it is made comes after its position."""
    publish("order:1", data="before")
    state = ask("snapshot", "order:1")
    assert (state["data"], state["offset"]) == ({"pk": 1}, 1)
    user = make_user()
    page = Subscriber(live.url)
    page.connect(Signer(user).connection_token().value)
    since = {"recover": True, "offset": state["offset"], "epoch": state["epoch"]}
    reply = page.subscribe("order:1", Signer(user).channel_token("order:1").value, **since)
    assert reply["subscribe"]["recovered"] is True
    recovered = [one["data"]["data"] for one in reply["subscribe"]["publications"]]
    assert recovered == ["meanwhile"]
    page.close()


def test_the_states_of_many_channels(live, ask):
    publish("order:1", data="before")
    found = ask("snapshot", None, channels=["order:1", "order:2", "tick:3", "order:x"])["states"]
    assert [(name, one["data"], one["offset"]) for name, one in found.items()] == [
        ("order:1", {"pk": 1}, 1),
        ("order:2", {"pk": 2}, 0),
        ("tick:3", "tick", 0),
    ]
    assert found["order:2"]["epoch"] == ask("snapshot", "order:2")["epoch"] != ""


def test_a_snapshot_without_messages(live, ask):
    assert ask("snapshot", "tick:1") == {"data": "tick", "offset": 0, "epoch": ""}
    assert ask("history", "tick:1", 502)["error"]


def test_the_server_is_down(live, ask):
    live.kill()
    for name in ("presence", "history", "snapshot"):
        assert ask(name, "order:1", 503) == {"error": "The message server does not answer."}
