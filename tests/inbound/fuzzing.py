"""
Whatever comes to the endpoints for the server: answered, and nothing allowed by accident.

What may have been allowed is told here from the request alone, by names that are equal as texts.
"""

import json
from functools import cached_property

from django.contrib.auth import get_user_model
from django.test import Client
from hypothesis import strategies as st

from instant import Namespace, on_publish, on_rpc, on_subscribe
from instant.centrifugo.proxy import HEADER
from tests.inbound.asking import SECRET

KINDS = ("rpc", "publish", "subscribe", "sub_refresh")
METHODS = ("open", "users", "staff.all", "typed")
CHANNELS = ("room:1", "plain:1", "hall:1", "room:2", "hall:2")
LIKE_SECRET = [SECRET[:-1], SECRET + "x", SECRET.upper(), " " + SECRET + "\t.", "", "None", "null"]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=20)
    | st.sampled_from(["instant:id", "instant:tenant", "e30=", "__proto__"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
payloads = json_values | st.fixed_dictionaries(
    {"n": st.integers() | json_values},
    optional={"instant:id": st.text(max_size=70) | json_values, "text": st.text() | json_values},
)


def mostly(usual, *others):
    """Return the usual in five of six cases: where much is wrong, one of it hides the others."""
    return st.integers(0, 5).flatmap(lambda n: usual if n else st.one_of(*others))


def near(*texts):
    """Return these texts, and what a lenient reader would take for one of them."""
    changed = st.sampled_from(texts).flatmap(
        lambda text: st.sampled_from(
            [text + " ", " " + text, text + "\0", text.upper(), "0" + text, text + "\n", text[:-1],
             text.replace("1", "１"), text.replace(":", "/"), text.replace(":", ":acme/"), "*"]
        )
    )  # fmt: skip
    return mostly(st.sampled_from(texts), changed, st.text(max_size=30), json_values)


class Site:
    """What is declared, and who was reached."""

    def __init__(self):
        users = get_user_model().objects
        self.ann = users.create_user("fuzz-ann")
        self.gone = users.create_user("fuzz-gone", is_active=False)
        self.reached = []
        self.client = Client(raise_request_exception=False)
        self._declare()

    def _declare(self):
        reached, ann = self.reached, self.ann.pk

        class Rules(Namespace, abstract=True):
            pattern = "<int:pk>"
            client_publish = "ask"

            def can_subscribe(self, user, pk):
                return user.pk == ann and pk == 1

            can_publish = can_subscribe

        class Room(Rules):
            name = "room"

        class Plain(Rules):
            name = "plain"

        class Hall(Rules):
            name, authorize = "hall", "proxy"

        @on_rpc("open", anonymous=True)
        def opened(call):
            reached.append("open")
            return call.data

        @on_rpc("users")
        async def users(call):
            reached.append("users")
            return {"user": call.user.pk, "id": call.id}

        @on_rpc("staff.*", can="auth.add_user")
        def staff(call):
            reached.append("staff")

        @on_rpc("typed", anonymous=True)
        def typed(call, n: int, text: str = ""):
            reached.append("typed")
            assert isinstance(n, int)
            assert isinstance(text, str)
            return n

        @on_publish(Room)
        def moderate(call, pk, **data):
            reached.append("moderate")
            assert pk == 1

        @on_subscribe(Hall)
        def enter(call, pk):
            reached.append("enter")
            assert pk == 1
            return {"pk": pk}

    def subjects(self):
        ann = str(self.ann.pk)
        return near(ann, ann, ann, "", str(self.gone.pk), "4711", f"acme/{ann}", f"{ann}.0")

    @cached_property
    def requests(self):
        """All that may come: kind, secret, HTTP method, body."""
        fields = st.fixed_dictionaries(
            {"user": self.subjects(), "channel": near(*CHANNELS), "method": near(*METHODS)},
            optional={
                "client": mostly(st.uuids().map(str), json_values),
                "transport": mostly(st.just("websocket"), json_values),
                "data": mostly(payloads, json_values),
                "b64data": mostly(st.just(None), st.just("e30="), json_values),
                "meta": payloads,
            },
        )
        whole = fields.map(lambda body: json.dumps(body).encode())
        broken = st.tuples(whole, st.integers(0, 300), st.binary(max_size=5)).map(
            lambda found: found[0][: found[1]] + found[2] + found[0][found[1] :]
        )
        others = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode())
        deep = st.integers(1, 100_000).map(lambda n: b'{"user":' + b"[" * n)
        return st.tuples(
            st.sampled_from(KINDS),
            mostly(st.just(SECRET), st.sampled_from(LIKE_SECRET), st.text("abc-ÿ")),
            mostly(
                st.just("POST"), st.sampled_from(["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "X"])
            ),
            mostly(whole, broken, others, deep),
        )

    def play(self, kind, secret, method, raw):
        """Ask, and compare what was allowed with what may be."""
        self.reached.clear()
        response = self.client.generic(
            method, f"/instant/proxy/{kind}/", raw, "application/json", headers={HEADER: secret}
        )
        assert response.status_code == 200
        answer = {} if method == "HEAD" else json.loads(response.content)
        if secret != SECRET or method != "POST":
            assert not self.reached
            assert method == "HEAD" or answer.keys() == {"error"}
            return "refused"
        assert answer.keys() in ({"result"}, {"error"})
        if "error" in answer:
            assert answer["error"]["code"] in {400, 401, 403, 404, 422}, answer
            return f"{kind} {answer['error']['code']}"
        body = json.loads(raw)
        getattr(self, f"_{kind}")(body, answer["result"])
        return f"{kind} {'ended' if answer['result'] == {'expired': True} else 'allowed'}"

    def _rpc(self, body, result):
        [name] = self.reached
        assert body["method"] == name
        assert name != "staff"
        if name == "users":
            assert body["user"] == str(self.ann.pk)
            assert result["data"]["user"] == self.ann.pk

    def _publish(self, body, result):
        assert body["user"] == str(self.ann.pk)
        if body["channel"] in {"plain:1", "hall:1"}:
            assert (result, self.reached) == ({}, [])
            return
        assert body["channel"] == "room:1"
        assert self.reached == ["moderate"]
        assert isinstance(result["data"], dict)

    def _subscribe(self, body, result):
        assert (body["user"], body["channel"]) == (str(self.ann.pk), "hall:1")
        assert self.reached == ["enter"]
        assert result["data"] == {"pk": 1}

    def _sub_refresh(self, body, result):
        assert not self.reached
        if result != {"expired": True}:
            assert body["user"] == str(self.ann.pk)
            assert body["channel"] in {"room:1", "plain:1", "hall:1"}
