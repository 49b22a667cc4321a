"""The guides from other packages: their examples run, and do what they say."""

import jwt
import pytest
from django.core.cache import cache
from django.test import Client, override_settings

from instant import before_send, presence, publish
from instant.centrifugo.api import channel_state
from instant.handlers import Refused
from instant.inbound.registry import find_handler
from instant.inbound.tickets.model import Ticket
from instant.permissions import grants
from instant.testing import call_rpc, capture_publications, publish_as, run_jobs
from tests.docs.documents import blocks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.fixture(autouse=True)
def _nothing_counted():
    cache.clear()


def run_block(document, at):
    namespace = {"__name__": f"guide{at}"}
    exec(blocks("python", document=f"docs/migrating/{document}.md")[at].code, namespace)
    return namespace


# django-mease


@pytest.fixture
def mease():
    return run_block("mease", 0)


def test_a_receiver_answers_everybody(mease, make_user):
    assert publish_as(make_user("ann"), "websocket:all", {"text": "hi"}) == {
        "text": "hi", "by": "ann",
    }  # fmt: skip
    with pytest.raises(Refused):
        publish_as(None, "websocket:all", {"text": "hi"})


def test_a_sender_is_asked_for_its_routing(mease):
    with capture_publications() as sent:
        run_block("mease", 1)
        publish("other", data={"text": "Hello world!"})
    assert [p.payload["data"] for p in sent] == [
        {"text": "Hello world!", "via": "websocket"}, {"text": "Hello world!"},
    ]  # fmt: skip


def test_a_sender_without_a_routing_is_asked_for_all(mease):
    seen = []

    @before_send("*")
    def every(outgoing):
        seen.append(outgoing.channel)

    with capture_publications():
        publish("websocket:all", data={})
        publish("other", data={})
    assert seen == ["websocket:all", "other"]


def test_an_opener_notes_something_for_the_connection(mease, make_user):
    client = Client()
    client.force_login(make_user("ann"))
    answer = client.post("/instant/get_token/", "{}", content_type="application/json")
    claims = jwt.decode(answer.json()["ws_token"], options={"verify_signature": False})
    assert claims["meta"] == {"language": "en"}


def test_the_list_of_clients_is_presence(mease, monkeypatch):
    class Backend:
        def client(self):
            return object()

    monkeypatch.setattr(presence, "get_backend", Backend)
    monkeypatch.setattr(channel_state, "presence", lambda *_args: {"c": {"user": "1"}})
    assert [one.user for one in presence.present("websocket:all")] == ["1"]
    assert "closer" in run_block("mease", 2)


# Django Channels


def test_a_consumer_as_a_rule_and_handlers(registry, make_user):
    run_block("channels", 0)
    ann = make_user("ann")
    assert call_rpc(ann, "room.open", {"room": "hall"}) == {"title": "Hall"}
    assert code(ann, "room.open", {"room": "attic"}) == 404
    assert code(None, "room.open", {"room": "hall"}) == 401
    said = publish_as(ann, "room:hall", {"data": {"message": "Hello"}})
    assert said == {"data": {"message": "Hello", "by": "ann"}}
    with pytest.raises(Refused, match="message: Field required"):
        publish_as(ann, "room:hall", {"command": "send"})
    with pytest.raises(Refused):
        publish_as(None, "room:hall", {"message": "Hello"})
    assert grants(ann, ["room:hall"])[0].info == {"name": "ann"}


# A request broker


@pytest.fixture
def broker():
    return run_block("broker", 0)


@pytest.fixture
def ann(make_user):
    return make_user("ann")


def code(*args, **kwargs):
    with pytest.raises(Refused) as caught:
        call_rpc(*args, **kwargs)
    return caught.value.code


def test_it_receives_analyses_and_routes(broker, ann):
    assert call_rpc(ann, "payment.confirm", {"order": "7"}) == {"order": 7, "confirmed": True}
    assert call_rpc(None, "prices.gold") == {"method": "prices.gold"}
    assert call_rpc(ann, "report.build", {"year": 2026}) == {"year": 2026}
    assert code(ann, "payment.confirm", {"order": "seven"}) == 422
    assert code(ann, "payment.refund", {}) == 404
    assert code(None, "payment.confirm", {"order": 7}) == 401


def test_it_throttles(broker, ann):
    answers = [call_rpc(ann, "payment.confirm", {"order": n}) for n in range(20)]
    assert len(answers) == 20
    assert code(ann, "payment.confirm", {"order": 20}) == 429


def test_it_answers_once(broker, ann):
    named = {"order": 7, "instant:id": "a-1"}
    assert call_rpc(ann, "payment.confirm", named) == call_rpc(ann, "payment.confirm", named)
    assert code(ann, "payment.confirm", {"order": 8, "instant:id": "a-1"}) == 409


def test_it_caches(broker, monkeypatch):
    first = call_rpc(None, "prices.silver")
    object.__setattr__(find_handler("rpc", "prices.silver"), "function", lambda call: "computed")
    assert call_rpc(None, "prices.silver") == first
    assert call_rpc(None, "prices.tin") == "computed"


def test_it_queues_and_lets_what_is_critical_go_first(broker, ann):
    tickets = [
        call_rpc(ann, "mail.everybody", {"text": str(n)})["instant:ticket"] for n in range(5)
    ]
    critical = call_rpc(ann, "payment.check", {"order": 1})["instant:ticket"]
    with capture_publications() as sent:
        run_jobs()
    ended = [
        p.payload["data"]["id"] for p in sent if p.payload.get("data", {}).get("state") == "done"
    ]
    assert ended == [critical["id"], *(ticket["id"] for ticket in tickets)]
    assert Ticket.objects.get(pk=critical["id"]).state == "done"


def test_it_translates(broker, ann):
    with override_settings(INSTANT={"DIR": "/nonexistent", "GATEWAY": True}):
        answer = Client().post(
            "/instant/rpc/prices.gold/", b"", content_type="application/json",
            headers={"Sec-Fetch-Site": "same-origin", "Accept": "application/xml"},
        )  # fmt: skip
    assert answer["Content-Type"].startswith("application/xml")
    assert b"prices.gold" in answer.content
