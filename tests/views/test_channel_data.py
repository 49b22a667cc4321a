"""Presence, history and snapshots, for those who may; the server is one that answers as told."""

import json
import threading
from datetime import date, timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client, override_settings

from instant import Namespace, namespaces
from instant.backends.console import ConsoleBackend
from instant.deliveries import AtMostOnce, Recoverable
from tests.servers import RawServer

pytestmark = [pytest.mark.usefixtures("registry"), pytest.mark.timed]

REFUSED = {"error": "You may not do that, or there is no such channel."}
NAMES = ("presence", "history", "snapshot")


class Server:
    """Answers each method of the API with what it was told."""

    def __init__(self):
        self.asked = []
        self.answers = {
            "presence": {"result": {"presence": {}}},
            "history": {"result": {"publications": [], "offset": 7, "epoch": "ep"}},
            "batch": {"replies": [{"history": {"offset": 7, "epoch": "ep"}}]},
        }
        self.hook = lambda: None

    def __call__(self, sock):
        while True:
            head, body = sock.read_request()
            method = head.split()[1].decode().removeprefix("/api/")
            self.asked.append((method, json.loads(body)))
            self.hook()
            answer = self.answers[method]
            if isinstance(answer, int):
                sock.answer(b"", status=f"{answer} Wrong")
            else:
                sock.answer(json.dumps(answer).encode())


@pytest.fixture
def server():
    told = Server()
    with RawServer(told) as raw:
        told.raw = raw
        with use(raw.port):
            yield told


def use(port, **instant):
    return override_settings(
        CENTRIFUGO_HOST="http://127.0.0.1",
        CENTRIFUGO_PORT=port,
        INSTANT={
            "DIR": "/nonexistent",
            "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
            "TIMEOUT": 5,
            **instant,
        },
    )


def declare(name="order", **attributes):
    attributes = {"pattern": "<int:pk>", **attributes}
    return type(name.title(), (Namespace,), {"name": name, **attributes})


@pytest.fixture
def web(db):
    return Client(headers={"Sec-Fetch-Site": "same-origin"}, raise_request_exception=False)


def ask(client, name, channel="order:1", status=200, **body):
    response = client.post(
        f"/instant/{name}/", json.dumps({"channel": channel, **body}), "application/json"
    )
    assert response.status_code == status, response.content
    assert response["Cache-Control"] == "private, no-store"
    return json.loads(response.content, parse_constant=pytest.fail)


def everybody(self, user, pk):
    return True


# Who may


def test_each_has_a_right_of_its_own(server, web):
    rights = {
        "presence": "can_see_presence",
        "history": "can_read_history",
        "snapshot": "can_subscribe",
    }
    for name, method in rights.items():
        namespaces._registry.clear()
        declare(**{method: everybody}, snapshot=lambda self, user, pk: pk)
        for other in NAMES:
            ask(web, other, status=200 if other == name else 403)


@pytest.mark.parametrize("name", NAMES)
def test_refused_and_not_there_look_alike(server, web, make_channel, name):
    make_channel("$staff", "staff", presence_level="staff")
    declare()
    for channel in ("$staff", "nothing", "order:1", "order:x", "other:1", "a b", "", "user:1"):
        assert ask(web, name, channel, 403) == REFUSED
    assert server.asked == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("body", [{}, {"channel": None}, {"channel": 1}, {"channel": ["order:1"]}])
def test_a_channel_is_asked_for_by_name(server, web, name, body):
    response = web.post(f"/instant/{name}/", json.dumps(body), "application/json")
    assert (response.status_code, response.json()) == (400, {"error": 'Send {"channel": "…"}.'})


@pytest.mark.parametrize("name", NAMES)
def test_they_are_endpoints_for_browsers(server, web, name):
    assert web.get(f"/instant/{name}/").status_code == 405
    elsewhere = Client(headers={"Sec-Fetch-Site": "cross-site"})
    assert ask(elsewhere, name, status=403)["error"].startswith("The request comes from")
    assert web.post(f"/instant/{name}/", {"channel": "order:1"}).status_code == 400


@pytest.mark.parametrize("name", NAMES)
def test_visitors_who_are_kept_out(server, web, make_user, name):
    declare(
        can_subscribe=everybody, can_see_presence=everybody, can_read_history=everybody,
        snapshot=lambda self, user, pk: 1,
    )  # fmt: skip
    ask(web, name)
    with use(server.raw.port, ANONYMOUS=False):
        assert ask(web, name, status=403) == {"error": "Log in first."}
        web.force_login(make_user())
        ask(web, name)


def test_async_rules(server, web):
    async def rule(self, user, pk):
        return pk == 1

    async def state(self, user, pk):
        return {"async": pk}

    declare(can_subscribe=rule, can_see_presence=rule, can_read_history=rule, snapshot=state)
    for name in NAMES:
        ask(web, name)
        assert ask(web, name, "order:2", 403) == REFUSED
    assert ask(web, "snapshot")["data"] == {"async": 1}


def test_rows_and_the_users_own_channel(server, web, make_user, make_channel):
    make_channel("public")
    make_channel("room", presence_level="subscribers")
    user = make_user()
    web.force_login(user)
    own = f"user:{user.pk}"
    for name, channel, status in [
        ("history", "public", 200), ("presence", "public", 403), ("presence", "room", 200),
        ("history", own, 200), ("presence", own, 200), ("snapshot", "public", 403),
        ("snapshot", own, 403),
    ]:  # fmt: skip
        ask(web, name, channel, status)


# Presence


def test_presence(server, web):
    declare(can_see_presence=everybody)
    server.answers["presence"] = {
        "result": {
            "presence": {
                "c1": {
                    "client": "c1",
                    "user": "7",
                    "conn_info": {"secret": 1},
                    "chan_info": {"n": 1},
                },
                "c2": {"client": "c2", "user": "", "conn_info": {"secret": 1}},
            }
        }
    }
    assert ask(web, "presence") == {
        "clients": {"c1": {"user": "7", "info": {"n": 1}}, "c2": {"user": ""}}
    }
    assert server.asked == [("presence", {"channel": "order:1"})]


# History


@pytest.fixture
def kept(server):
    declare(can_read_history=everybody)
    listed = [{"offset": n, "data": {"n": n}, "info": {"user": "7"}} for n in (6, 7)]
    server.answers["history"] = {"result": {"publications": listed, "offset": 7, "epoch": "ep"}}
    return server


def test_history(kept, web):
    assert ask(web, "history") == {
        "publications": [{"data": {"n": 6}, "offset": 6}, {"data": {"n": 7}, "offset": 7}],
        "offset": 7,
        "epoch": "ep",
    }
    asked = {"channel": "order:1", "limit": 100, "reverse": False}
    assert kept.asked == [("history", asked)]


def test_parts_of_it(kept, web):
    ask(web, "history", limit=5, reverse=True, since={"offset": 3, "epoch": "ep", "more": 1})
    ask(web, "history", limit=0, since=None)
    assert [body for _, body in kept.asked] == [
        {"channel": "order:1", "limit": 5, "reverse": True, "since": {"offset": 3, "epoch": "ep"}},
        {"channel": "order:1", "limit": 0, "reverse": False},
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"limit": -1}, {"limit": 101}, {"limit": "5"}, {"limit": 1.0}, {"limit": True}, {"limit": None},
        {"reverse": 1}, {"reverse": "yes"}, {"reverse": None},
        {"since": 5}, {"since": {}}, {"since": {"offset": 1}}, {"since": {"epoch": "e"}},
        {"since": {"offset": "1", "epoch": "e"}}, {"since": {"offset": 1, "epoch": 2}},
        {"since": {"offset": -1, "epoch": "e"}}, {"since": {"offset": 2**63, "epoch": "e"}},
        {"since": {"offset": True, "epoch": "e"}}, {"since": [1, "e"]}, {"since": False},
    ],
)  # fmt: skip
def test_parts_that_are_none(kept, web, body):
    assert ask(web, "history", status=400, **body)["error"].startswith('"')
    assert kept.asked == []


def test_an_epoch_that_is_gone(kept, web):
    kept.answers["history"] = {"error": {"code": 112, "message": "unrecoverable position"}}
    error = ask(web, "history", status=400, since={"offset": 1, "epoch": "old"})["error"]
    assert "epoch" in error


# Snapshots


def test_a_snapshot_and_its_position(server, web, make_user):
    declare(
        can_subscribe=everybody,
        snapshot=lambda self, user, pk: {
            "user": user.username,
            "pk": pk,
            "day": date(2026, 11, 21),
        },
    )
    web.force_login(make_user("ann"))
    assert ask(web, "snapshot") == {
        "data": {"user": "ann", "pk": 1, "day": "2026-11-21"},
        "offset": 7,
        "epoch": "ep",
    }
    command = {"history": {"channel": "order:1", "limit": 0}}
    assert server.asked == [("batch", {"commands": [command]})]


def test_the_position_is_read_first(server, web):
    seen = []
    server.hook = lambda: seen.append("position")
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: seen.append("state"))
    assert ask(web, "snapshot")["data"] is None
    assert seen == ["position", "state"]


def test_without_messages_there_is_no_position(server, web):
    declare(can_subscribe=everybody, delivery=AtMostOnce(), snapshot=lambda self, user, pk: 1)
    assert ask(web, "snapshot") == {"data": 1, "offset": 0, "epoch": ""}
    assert server.asked == []


@pytest.mark.parametrize("delivery", [Recoverable(size=5, ttl=timedelta(seconds=9)), AtMostOnce()])
def test_no_snapshot_is_declared(server, web, delivery):
    declare(can_subscribe=everybody, delivery=delivery)
    assert ask(web, "snapshot", status=403) == REFUSED


def test_a_row_does_not_open_the_namespaces_snapshot(server, web, make_channel):
    declare(
        "room", rows=True, pattern="<str:name>", snapshot=lambda self, user, name: "the secret",
        can_subscribe=lambda self, user, name: name == "open",
    )  # fmt: skip
    make_channel("room:red")
    make_channel("room:open")
    assert ask(web, "snapshot", "room:red", 403) == REFUSED
    assert ask(web, "snapshot", "room:open")["data"] == "the secret"
    ask(web, "history", "room:red")  # of which the row decides


def test_a_row_closes_the_namespaces_snapshot(server, web, make_channel):
    declare(
        "room", rows=True, pattern="<str:name>", can_subscribe=lambda self, user, name: True,
        snapshot=lambda self, user, name: name,
    )  # fmt: skip
    make_channel("room:red", is_active=False)
    assert ask(web, "snapshot", "room:red", 403) == REFUSED
    assert ask(web, "snapshot", "room:blue")["data"] == "blue"


@pytest.mark.parametrize("state", [float("nan"), {"x": object()}, b"bytes"])
def test_a_state_that_is_not_json(server, web, caplog, state):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: state)
    assert "error" in ask(web, "snapshot", status=500)
    assert "/instant/snapshot/ failed" in caplog.text


def test_a_snapshot_that_raises(server, web, caplog):
    def state(self, user, pk):
        raise RuntimeError("the detail")

    declare(can_subscribe=everybody, snapshot=state)
    assert "detail" not in ask(web, "snapshot", status=500)["error"]
    assert "the detail" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_the_state_is_read_outside_of_a_transaction(server, web, monkeypatch):
    """One that repeats its reads would show what was before the position."""
    seen = []
    declare(
        can_subscribe=everybody,
        snapshot=lambda self, user, pk: seen.append(connection.in_atomic_block),
    )
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    ask(web, "snapshot")
    assert seen == [False]


# Snapshots of many


def ask_many(client, names, status=200):
    response = client.post(
        "/instant/snapshot/", json.dumps({"channels": names}), "application/json"
    )
    assert response.status_code == status, response.content
    return response.json()


def positions(*answers):
    return {"replies": [{"history": answer} for answer in answers]}


def test_many_channels_are_one_request_to_the_server(server, web):
    asked = []

    def many(self, user, many):
        asked.append(many)
        return [channel["pk"] * 10 for channel in many]

    declare(
        snapshot_many=many, can_subscribe=lambda self, user, pk: pk < 3,
        can_subscribe_many=lambda self, user, many: [channel["pk"] < 3 for channel in many],
    )  # fmt: skip
    declare(
        "note", can_subscribe=everybody, snapshot=lambda self, user, pk: "n", delivery=AtMostOnce()
    )
    server.answers["batch"] = positions({"offset": 5, "epoch": "a"}, {"offset": 6, "epoch": "b"})
    names = ["order:1", "order:2", "order:3", "note:1", "nothing", "order:1", "order:x"]
    assert ask_many(web, names) == {
        "states": {
            "order:1": {"data": 10, "offset": 5, "epoch": "a"},
            "order:2": {"data": 20, "offset": 6, "epoch": "b"},
            "note:1": {"data": "n", "offset": 0, "epoch": ""},
        }
    }
    assert asked == [[{"pk": 1}, {"pk": 2}]]
    commands = [{"history": {"channel": f"order:{pk}", "limit": 0}} for pk in (1, 2)]
    assert server.asked == [("batch", {"commands": commands})]


def test_developers_are_told_of_which_there_is_no_state(server, web, settings, caplog):
    declare(can_subscribe=everybody)
    declare("note", can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    names = ["order:1", "public", "note:1"]
    assert ask_many(web, names).keys() == {"states"}
    assert not caplog.records
    settings.DEBUG = True
    refused = ask_many(web, names)["refused"]
    assert refused.keys() == {"order:1", "public"}
    assert "has no state. Write " in refused["order:1"]
    assert ".snapshot(user, …)." in refused["order:1"]
    assert "of no namespace" in refused["public"]
    assert [record.getMessage() for record in caplog.records] == list(refused.values())


def test_one_that_fails_keeps_none_of_the_others(server, web):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    server.answers["batch"] = {
        "replies": [
            {"error": {"code": 102, "message": "unknown channel"}},
            {"history": {"offset": 6, "epoch": "b"}},
        ]
    }
    assert ask_many(web, ["order:1", "order:2"]) == {
        "states": {"order:2": {"data": 2, "offset": 6, "epoch": "b"}},
        "unknown": ["order:1"],
    }


def test_a_rule_that_can_not_say_now_refuses_nobody(server, web):
    def rule(self, user, pk):
        raise OperationalError("the database is away")

    declare(can_subscribe=rule, snapshot=lambda self, user, pk: pk)
    assert ask_many(web, ["order:1"]) == {"states": {}, "unknown": ["order:1"]}
    assert "be said now" in ask(web, "snapshot", status=503)["error"]
    assert server.asked == []


@pytest.mark.parametrize(
    "names", [1, "order:1", {}, [1], [["order:1"]], [f"a:{n}" for n in range(101)]]
)
def test_names_that_are_none(server, web, names):
    assert "channels" in ask_many(web, names, 400)["error"]


def test_states_that_are_not_as_many(server, web, caplog):
    declare(can_subscribe=everybody, snapshot_many=lambda self, user, many: [])
    ask_many(web, ["order:1"], 500)
    assert "returned 0 states for 1 channels" in caplog.text


def test_a_state_of_an_open_transaction_is_not_told(server, web, monkeypatch, caplog):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: 1)
    monkeypatch.setattr("instant.pages.state.is_fresh", lambda: False)
    assert ask(web, "snapshot", status=503) == {"error": "The state can't be read now."}
    assert "middleware" in caplog.text


# A server that has trouble


@pytest.fixture
def open_to_all():
    declare(
        can_subscribe=everybody, can_see_presence=everybody, can_read_history=everybody,
        snapshot=lambda self, user, pk: 1,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": 100, "message": "internal"}}, {"error": {"code": 108, "message": "x"}},
        {"error": {"code": 102, "message": "unknown channel"}}, 401, 500, {"nothing": 1}, [], {},
    ],
)  # fmt: skip
def test_an_answer_that_says_nothing(server, web, open_to_all, name, answer, caplog):
    server.answers = {"presence": answer, "history": answer, "batch": answer}
    assert ask(web, name, status=502) == {"error": "The message server can't tell."}
    assert "The message server can't tell: " in caplog.text
    assert "test-api-key" not in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_no_answer(web, open_to_all, name, caplog):
    with RawServer(lambda sock: None) as raw:
        port = raw.port
    with use(port):
        assert ask(web, name, status=503) == {"error": "The message server does not answer."}
    assert "does not answer" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_in_time(web, open_to_all, name):
    done = threading.Event()

    def silent(sock):
        sock.read_request()
        done.wait(60)

    with RawServer(silent) as raw, use(raw.port, TIMEOUT=0.05):
        ask(web, name, status=503)
        done.set()


@pytest.mark.parametrize("name", NAMES)
def test_a_backend_without_a_server(web, open_to_all, name):
    from instant.backends import replaced

    with replaced(ConsoleBackend()):
        assert "no message server" in ask(web, name, status=503)["error"]
