"""``@on_connect``, ``@on_refresh`` and ``@on_subscribe``, where Django signs."""

import json

import jwt
import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection
from django.test import Client, override_settings

from instant import Namespace, on_connect, on_refresh, on_rpc, on_subscribe
from instant.handlers import Disconnect, Refused
from tests.inbound.asking import DENIED, SECRET, ask, error

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.fixture
def client(make_user):
    client = Client(raise_request_exception=False)
    client.force_login(make_user("ann"))
    return client


def post(client, view, **body):
    return client.post(
        f"/instant/{view}/", json.dumps(body), content_type="application/json",
        headers={"Sec-Fetch-Site": "same-origin"},
    )  # fmt: skip


def claims(answer):
    token = answer.json()["ws_token"]
    return jwt.decode(token, options={"verify_signature": False})


def names(answer):
    return [channel["name"] for channel in answer.json()["channels"]]


@pytest.fixture
def atomic_requests(monkeypatch, transactional_db):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


@pytest.mark.parametrize("problem", [Refused(403, "no seat left"), KeyError("seat")])
@pytest.mark.usefixtures("atomic_requests")
def test_what_is_refused_takes_back_what_it_wrote(client, make_user, problem):
    user = make_user("bob")

    @on_connect
    def take_a_seat(call):
        Group.objects.create(name="a seat")
        raise problem

    logged_in = Client(raise_request_exception=False)
    for answer in (
        post(client, "get_token"),
        post(logged_in, "login", username=user.username, password="pw"),
    ):
        assert answer.status_code in {403, 500}
    assert not Group.objects.exists()
    # That was before. Django keeps no session where a request has failed.
    is_kept = isinstance(problem, Refused)
    assert logged_in.session.get("_auth_user_id") == (str(user.pk) if is_kept else None)


@pytest.mark.parametrize("problem", [Refused(403, "no seat left"), KeyError("seat")])
@pytest.mark.usefixtures("atomic_requests")
def test_a_channel_that_is_refused_takes_back_what_was_written_for_it(client, problem):
    @on_subscribe("seat:*")
    def take_a_seat(call):
        Group.objects.create(name=call.channel)
        if call.channel == "seat:1":
            raise problem

    type(
        "Seat",
        (Namespace,),
        {"name": "seat", "pattern": "<int:pk>", "can_subscribe": lambda *_, **__: True},
    )
    answer = post(client, "subscribe", channels=["seat:1", "seat:2"])
    assert names(answer) == ["seat:2"]
    assert [group.name for group in Group.objects.all()] == ["seat:2"]


# Connecting


def test_without_handlers_a_token_has_no_meta(client):
    assert "meta" not in claims(post(client, "get_token"))


def test_what_handlers_return_is_the_connections_meta(client):
    seen = []

    @on_connect
    def first(call):
        seen.append((call.user.username, dict(call.meta), call.transport, call.channel))
        call.session["opened"] = 1
        return {"a": 1, "b": call.headers["User-Agent"]}

    @on_connect
    def nothing(call):
        pass

    @on_connect
    async def third(call, refresh: bool):
        seen.append((call.user.username, dict(call.meta), refresh))
        return {"a": 2}

    client.defaults["HTTP_USER_AGENT"] = "ua"
    assert claims(post(client, "get_token"))["meta"] == {"a": 2, "b": "ua"}
    assert seen == [("ann", {}, "http", ""), ("ann", {"a": 1, "b": "ua"}, False)]
    assert client.session["opened"] == 1


def test_whoever_is_refused_gets_no_token(client, caplog):
    raised = []

    @on_connect
    def refuse(call):
        raise raised.pop()

    @on_connect
    def never(call):
        raise AssertionError

    def answered(exc):
        raised.append(exc)
        answer = post(client, "get_token")
        return answer.status_code, answer.json()

    assert answered(Refused(403, "not today")) == (403, {"error": "not today"})
    assert answered(Refused(503, "later", temporary=True)) == (503, {"error": "later"})
    assert answered(Disconnect(4500, "bye")) == (403, {"error": "bye"})
    assert not [r for r in caplog.records if r.name.startswith("instant")]
    status, body = answered(KeyError("detail"))
    assert (status, "detail" in str(body)) == (500, False)
    assert "detail" in caplog.text


@pytest.mark.parametrize("returned", [["a"], {"instant:tenant": "x"}, {"x": "y" * 5000}])
def test_what_is_no_meta_is_an_error(client, returned, caplog):
    @on_connect
    def wrong(call):
        return returned

    assert post(client, "get_token").status_code == 500
    assert "wrong" in caplog.text or "meta" in caplog.text


def test_a_renewal_is_one_where_the_page_says_so(client):
    seen = []

    @on_connect
    def connect(call):
        seen.append(("connect", call.data["refresh"]))
        return {"a": 1, "b": 1}

    @on_refresh
    def refresh(call):
        seen.append(("refresh", call.meta))
        return {"b": 2}

    assert claims(post(client, "get_token"))["meta"] == {"a": 1, "b": 1}
    assert claims(post(client, "get_token", refresh=True))["meta"] == {"a": 1, "b": 2}
    post(client, "get_token", refresh="yes")
    assert seen == [
        ("connect", False), ("connect", True), ("refresh", {"a": 1, "b": 1}), ("connect", False),
    ]  # fmt: skip


def test_whoever_logs_in_is_asked_about(make_user):
    @on_connect
    def refuse(call):
        raise Refused(403, call.user.username)

    make_user("ann")
    answer = post(Client(), "login", username="ann", password="pw")
    assert (answer.status_code, answer.json()) == (403, {"error": "ann"})


def test_a_session_that_says_nothing_of_the_user_is_not_shown(make_user):
    seen = []

    @on_connect
    def connect(call):
        seen.append((call.user.username, call.session))

    make_user("bob")
    client = Client()
    client.force_login(make_user("ann"))
    with override_settings(INSTANT={"AUTHENTICATION": [f"{__name__}.as_bob"]}):
        post(client, "get_token")
    assert seen == [("bob", None)]


def as_bob(request):
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get(username="bob")


# Subscribing


@pytest.fixture
def room():
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"

        def can_subscribe(self, user, pk):
            return pk < 100

    return Room


def test_channels_that_a_handler_refuses_are_left_out(client, room, make_channel, settings):
    seen = []

    @on_subscribe(room)
    def enter(call, pk):
        seen.append((call.channel, call.user.username, call.kwargs, call.session))
        if pk == 2:
            raise Refused(403, "it is full")
        if pk == 3:
            raise KeyError("pk")

    make_channel("news")
    wanted = ["room:1", "room:2", "room:3", "room:100", "news", "room:4"]
    answer = post(client, "subscribe", channels=wanted)
    assert sorted(names(answer)) == ["news", "room:1", "room:4"]
    assert "refused" not in answer.json()
    assert [name for name, *_ in seen] == ["room:1", "room:2", "room:3", "room:4"]
    assert seen[0] == ("room:1", "ann", {"pk": 1}, None)
    settings.DEBUG = True
    refused = post(client, "subscribe", channels=wanted).json()["refused"]
    assert refused.keys() == {"room:2", "room:3", "room:100"}
    assert "it is full" in refused["room:2"]
    assert enter.__qualname__ in refused["room:2"]
    assert "KeyError" in refused["room:3"]
    assert "can_subscribe() refuses" in refused["room:100"]


def test_one_that_cannot_tell_is_unknown(client, room):
    @on_subscribe("room:*")
    def enter(call):
        raise OperationalError("down")

    answer = post(client, "get_token", channels=["room:1"]).json()
    assert (answer["channels"], answer["unknown"]) == ([], ["room:1"])


def test_many_names_make_no_query_each(client, room, django_assert_max_num_queries):
    @on_subscribe(room)
    def enter(call, pk):
        assert call.user.username == "ann"

    with django_assert_max_num_queries(4):
        answer = post(client, "subscribe", channels=[f"room:{n}" for n in range(90)])
    assert len(names(answer)) == 90


def test_the_meta_is_there_where_the_connection_is_signed(client, room):
    seen = []

    @on_connect
    def connect(call):
        return {"device": 7}

    @on_subscribe(room, can=lambda call: call.user.username == "ann")
    async def enter(call, pk):
        seen.append(call.meta)

    post(client, "get_token", channels=["room:1"])
    post(client, "subscribe", channels=["room:1"])
    assert seen == [{"device": 7}, {}]


def test_by_proxy_the_page_gets_what_the_handler_returns(registry, make_user, client):
    class Room(Namespace):
        name, pattern, authorize = "room", "<int:pk>", "proxy"

        def can_subscribe(self, user, pk):
            return pk < 3

    seen = []

    @on_subscribe(Room)
    def enter(call, pk, since: int = 0):
        seen.append((pk, since, call.client))
        if pk == 2:
            raise Refused(409, "it is full")
        return {"pk": pk, "since": since}

    ann = make_user("bob")
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        answer = ask("subscribe", ann, channel="room:1", data={"since": "4"})
        assert answer["result"]["data"] == {"pk": 1, "since": 4}
        assert "expire_at" in answer["result"]
        assert ask("subscribe", ann, channel="room:2") == error(409, "it is full")
        assert ask("subscribe", ann, channel="room:3") == DENIED
    assert [one[:2] for one in seen] == [(1, 4), (2, 0)]
    assert all(client for *_, client in seen)
    assert names(post(client, "subscribe", channels=["room:1"])) == ["room:1"]
    assert len(seen) == 2  # nothing was signed


# Tenants


def test_a_visitors_tenant_is_in_the_meta_where_visitors_call(settings):
    settings.INSTANT = {"TENANT": "tests.inbound.tenants.Tenants"}
    assert "meta" not in claims(post(Client(), "get_token"))

    @on_rpc("x", anonymous=True)
    def handler(call):
        pass

    assert claims(post(Client(), "get_token"))["meta"] == {"instant:tenant": ""}
