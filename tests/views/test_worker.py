"""What a worker on another machine is answered."""

import json
from types import SimpleNamespace

import jwt
import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instant import permissions, responder
from instant.inbound.tickets import upkeep
from instant.inbound.tickets.channel import TicketChannel, wake_up_channel
from instant.models import Ticket, WorkerToken
from instant.stored import wake_up, worker_token
from instant.testing import call_rpc
from instant.views.worker import worker

WAKE_UP = "ticket:wake.up.predict"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


@pytest.fixture
def ann(registry, make_user, monkeypatch):
    monkeypatch.setattr(upkeep, "_looked", {})

    @responder("predict")
    def predict(call, x: int):
        raise AssertionError("it is answered elsewhere")

    @responder("other")
    def other(call):
        raise AssertionError("it is answered elsewhere")

    return make_user("ann")


@pytest.fixture
def token(ann):
    return worker_token.new_token("predict", "gpu 1")[1]


@pytest.fixture
def ask(client, token):
    """Post as a worker; return the status and the answer."""

    def ask(action, body=None, *, bearer=token, status=200, **more):
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        data = json.dumps(body or {}) if not isinstance(body, bytes) else body
        answer = client.post(
            f"/instant/worker/{action}/", data, content_type="application/json", headers=headers
        )
        assert answer.status_code == status, answer.content
        assert answer["Cache-Control"] == "private, no-store"
        return answer.json()

    return ask


def request_of(user, name="predict", data=None):
    given = {"name": name, "data": {"x": 1} if data is None else data}
    answer = call_rpc(user, "instant.request", given)
    return Ticket.objects.get(pk=answer["instant:ticket"]["id"])


def test_a_request_from_its_claim_to_its_answer(ann, ask, publications):
    assert ask("claim") == {"request": None}
    ticket = request_of(ann)
    claimed = ask("claim")["request"]
    named = {"id": claimed["id"], "claim": claimed["claim"]}
    assert claimed["id"] == ticket.pk
    assert (claimed["data"], claimed["user"], claimed["lease"]) == ({"x": 1}, str(ann.pk), 60)
    assert ask("claim") == {"request": None}
    told = {"progress": 0.5, "message": "half"}
    assert ask("beat", named) == {"is_yours": True}
    assert ask("beat", named | told) == {"is_yours": True}
    assert ask("answer", named | {"result": {"y": 2}}) == {"is_yours": True}
    ticket.refresh_from_db()
    assert (ticket.state, ticket.result, ticket.message) == ("done", '{"y":2}', "half")
    states = [p.payload["data"]["state"] for p in publications if p.channel != WAKE_UP]
    assert states == ["running", "running", "done"]
    # The answer came, and only what answered it got lost.
    assert ask("answer", named | {"result": 1}) == {"is_yours": False}
    assert ask("beat", named) == {"is_yours": False}
    assert ask("give_back", named) == {"is_yours": False}


def test_an_error_is_the_answer(ann, ask):
    ticket = request_of(ann)
    claimed = ask("claim")["request"]
    named = {"id": claimed["id"], "claim": claimed["claim"]}
    assert ask("answer", named | {"error": {"code": 422, "message": "no"}}) == {"is_yours": True}
    ticket.refresh_from_db()
    assert (ticket.state, ticket.code, ticket.error) == ("failed", 422, "no")


def test_a_request_that_is_given_back(ann, ask):
    ticket = request_of(ann)
    claimed = ask("claim")["request"]
    named = {"id": claimed["id"], "claim": claimed["claim"]}
    assert ask("give_back", named) == {"is_yours": True}
    ticket.refresh_from_db()
    assert (ticket.state, ticket.attempts) == ("queued", 0)
    assert ask("claim")["request"]["id"] == ticket.pk


def test_a_request_that_another_has_by_now(ann, ask):
    """Whose lease was over says and answers nothing more, though the token is the same."""
    ticket = request_of(ann)
    first = ask("claim")["request"]
    Ticket.objects.update(due_at=timezone.now())
    upkeep.look()
    second = ask("claim")["request"]
    assert (second["id"], second["attempts"]) == (ticket.pk, 2)
    lost = {"id": first["id"], "claim": first["claim"]}
    assert ask("beat", lost | {"progress": 0.5, "message": "x"}) == {"is_yours": False}
    assert ask("answer", lost | {"result": "of the first"}) == {"is_yours": False}
    assert ask("give_back", lost) == {"is_yours": False}
    ticket.refresh_from_db()
    assert (ticket.state, ticket.message) == ("running", "")
    ask("answer", {"id": second["id"], "claim": second["claim"], "result": "of the second"})
    ticket.refresh_from_db()
    assert (ticket.state, ticket.result) == ("done", '"of the second"')
    assert ask("beat", {"id": ticket.pk, "claim": ""}) == {"is_yours": False}


def test_a_token_opens_one_responder_only(ann, ask):
    ticket = request_of(ann, "other", {})
    assert ask("claim") == {"request": None}
    theirs = worker_token.new_token("other")[1]
    claimed = ask("claim", bearer=theirs)["request"]
    named = {"id": claimed["id"], "claim": claimed["claim"]}
    for action in ("beat", "answer", "give_back"):
        assert ask(action, named | {"result": 1}) == {"is_yours": False}
    ticket.refresh_from_db()
    assert ticket.state == "running"


def test_who_has_no_token_gets_nothing(ann, ask, client, token):
    request_of(ann)
    client.force_login(ann)
    for bearer in ("", "wrong", token[:-1], f"{token} ", token.upper(), "\udc80"):
        if bearer != "\udc80":
            ask("claim", bearer=bearer, status=401)
    WorkerToken.objects.get().revoke()
    answer = ask("claim", status=401)
    assert answer == {"error": "The token is wrong, or was revoked."}
    assert Ticket.objects.get().state == "queued"


def test_a_token_is_kept_hashed(token):
    row = WorkerToken.objects.get()
    values = [str(getattr(row, field.attname)) for field in row._meta.fields]
    assert not any(token in value for value in values)
    assert row.used_at is None
    assert worker_token.find_token(token) == row
    row.refresh_from_db()
    assert row.used_at is not None


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("answer", {}, 400),
        ("answer", {"id": "x"}, 400),
        ("beat", b"[1]", 400),
        ("beat", b"{", 400),
        ("beat", b"\xff", 400),
        ("claim", b"[" * 100_000, 400),
        ("unknown", {}, 404),
    ],
)
def test_what_is_no_message_of_a_worker(action, body, status, ask):
    ask(action, body, status=status)


@pytest.mark.parametrize(
    "given",
    [
        {"error": {"code": 1, "message": "x"}},
        {"error": "x"},
        {"error": {"code": "422", "message": "x"}},
        {"result": "x" * 1_000_000},
    ],
)
def test_what_is_no_answer_ends_nothing(given, ann, ask):
    ticket = request_of(ann)
    claimed = ask("claim")["request"]
    named = {"id": claimed["id"], "claim": claimed["claim"]}
    ask("answer", named | given, status=400)
    ticket.refresh_from_db()
    assert ticket.state == "running"


def test_a_body_without_a_length_is_read_within_bounds(rf, token):
    """Chunks say nothing of how many will come."""
    request = rf.generic("POST", "/", b"", headers={"Authorization": f"Bearer {token}"})
    request.META["CONTENT_LENGTH"] = ""
    taken = []

    def read(count=-1):
        taken.append(count)
        return b"x" * (count if count >= 0 else 10**8)

    request._stream = SimpleNamespace(read=read, close=lambda: None)
    answer = worker(request, "claim")
    assert (answer.status_code, taken) == (413, [2_500_001])


def test_a_get_is_refused(client, token):
    answer = client.get("/instant/worker/claim/", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_who_may_not_ask_any_more_is_refused_before_a_worker_sees_it(ann, ask, make_user):
    ticket = request_of(ann)
    ann.is_active = False
    ann.save()
    later = request_of(make_user("bob"), data={"x": 2})
    assert ask("claim")["request"]["id"] == later.pk
    ticket.refresh_from_db()
    assert (ticket.state, ticket.code) == ("failed", 401)


def test_how_to_listen_to_what_wakes_a_worker(ann, ask, settings):
    settings.CENTRIFUGO_HMAC_KEY = key = "k" * 32
    found = ask("listen")
    assert (found["url"], found["channel"]) == (
        "ws://testserver:8427/connection/websocket", WAKE_UP,
    )  # fmt: skip
    for name, channel in (("token", None), ("channel_token", WAKE_UP)):
        claims = jwt.decode(found[name], key, ["HS256"], options={"verify_aud": False})
        # A visitor, who may do nothing else.
        assert (claims["sub"], claims.get("channel")) == ("", channel)
    settings.INSTANT = {
        **settings.INSTANT,
        "PUBLIC_URL": ["wss://a.example/ws", "wss://b.example/ws"],
    }
    assert ask("listen")["url"] == "wss://a.example/ws"
    ask("listen", bearer="", status=401)


def test_nobody_else_may_listen_to_it(ann):
    name = wake_up_channel("predict")
    assert not permissions.may(ann, "subscribe", name)
    assert not permissions.may(AnonymousUser(), "subscribe", name)
    # Those who are there are workers, whom nobody throws out.
    assert TicketChannel().can_subscribe_users([AnonymousUser(), ann], id="wake.up.predict") == [
        True, False,
    ]  # fmt: skip


def test_workers_elsewhere_are_woken(ann, token, publications, monkeypatch):
    monkeypatch.setattr(wake_up, "_known", {})
    request_of(ann, "other", None)
    publications.assert_nothing_published()
    request_of(ann)
    [wake] = publications
    assert (wake.channel, wake.payload["data"]) == (WAKE_UP, {})


def test_whether_there_are_any_is_asked_now_and_then(ann, token, monkeypatch):
    monkeypatch.setattr(wake_up, "_known", {})
    clock = [1000.0]
    monkeypatch.setattr(wake_up.time, "monotonic", lambda: clock[0])

    def queries():
        with CaptureQueriesContext(connection) as found:
            wake_up.wake("request:predict")
        return len(found)

    assert [queries(), queries()] == [1, 0]
    WorkerToken.objects.update(revoked_at=timezone.now())
    clock[0] += 31
    assert [queries(), queries()] == [1, 0]
    clock[0] += 6
    assert queries() == 1
