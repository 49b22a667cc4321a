"""
Whatever comes to the gateway: answered without a 500, and no handler reached by who may not.

Who may is told here from the request alone, by texts that are equal.
"""

import io
import json
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Permission
from django.core.handlers.asgi import ASGIRequest
from django.test import Client
from hypothesis import strategies as st

from instant import on_rpc
from instant.views.gateway import rpc

INSTANT = {
    "DIR": "/nonexistent", "GATEWAY": True, "AUTHENTICATION": ["tests.views.authenticators.bearer"],
}  # fmt: skip
OWN = "http://testserver"
METHODS = ("open", "users", "staff.all", "typed", "echo")
USERS = {"Bearer fuzz-bob": "fuzz-bob", "Bearer fuzz-sue": "fuzz-sue", "Bearer fuzz-off": ""}
"""Whom credentials name; an inactive user is nobody, whom no other site's page has sent."""

chars = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)
payloads = json_values | st.fixed_dictionaries(
    {"n": st.integers() | json_values},
    optional={
        "instant:id": st.text(max_size=70) | json_values,
        "tags": st.lists(st.text(max_size=5), max_size=3),
        "csrfmiddlewaretoken": st.text(max_size=5),
    },
)
BOMBS = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x><n>&b;</n></x>',
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x><n>&a;</n></x>',
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/"><x/>',
    '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/"> %p;]><x/>',
    "<x><n>&undefined;</n></x>", '<x><n type="number">1e999</n></x>', "<x>" * 3000,
    '<x xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="/etc/passwd"/></x>',
)  # fmt: skip


def as_xml(value, tag="x"):
    if isinstance(value, dict):
        inner = "".join(
            as_xml(v, k if k.isascii() and k.isalpha() else "field") for k, v in value.items()
        )
        return f'<{tag} type="object">{inner}</{tag}>'
    if isinstance(value, list):
        return f"<{tag}>{''.join(as_xml(v, 'item') for v in value)}</{tag}>"
    if value is None or isinstance(value, bool | int | float):
        kind = {type(None): "null", bool: "boolean"}.get(type(value), "number")
        text = "" if value is None else json.dumps(value)
        return f'<{tag} type="{kind}">{text}</{tag}>'
    return f"<{tag}>{escape(value)}</{tag}>"


def as_form(value):
    return urlencode(
        {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {"n": str(value)},
        errors="replace",
    )  # fmt: skip


WRITERS = {
    "application/json": json.dumps,
    "application/x-www-form-urlencoded": as_form,
    "application/xml": as_xml,
    "text/xml": as_xml,
}
CHARSETS = ("utf-8", "utf-16", "utf-32", "latin-1", "utf-7", "utf-8-sig", "cp037")


class Raw(bytes):
    """A body that a failing test shows in a line."""

    def __repr__(self):
        return super().__repr__() if len(self) < 300 else f"{bytes(self[:99])!r}… ({len(self)})"


@st.composite
def bodies(draw):
    """Return bytes and their content type, which may be another than theirs."""
    kind = draw(st.sampled_from([*WRITERS]))
    text = WRITERS[kind](draw(payloads))
    if kind.endswith("xml"):
        declared = draw(st.sampled_from(["", *CHARSETS, "nonsense"]))
        text = draw(st.sampled_from([text, *BOMBS]))
        text = f'<?xml version="1.0" encoding="{declared}"?>{text}' if declared else text
    raw = text.encode(draw(st.sampled_from(CHARSETS[:1] * 10 + CHARSETS)), "replace")
    change = draw(st.integers(0, 19))
    if change == 0:
        raw = draw(st.binary(max_size=60))
    elif change == 1:
        raw = raw[: draw(st.integers(0, max(len(raw), 1)))]
    elif change == 2:
        raw += draw(st.binary(max_size=5))
    elif change == 3:
        raw = b"[" * draw(st.sampled_from([63, 65, 65_000])) + raw
    elif change == 4:
        raw += b" " * 65_537
    parameter = draw(st.sampled_from([""] * 8 + ["; charset=utf-8", "; charset=utf-16", ";", "; boundary=x"]))  # fmt: skip
    said = kind
    if not draw(st.integers(0, 7)):
        said = draw(st.sampled_from([*WRITERS, "multipart/form-data", "text/plain", ""]) | chars)
    return Raw(raw), said + parameter


def stripped(value):
    """Return a header's value as a web server hands it on: blanks around it are not its own."""
    return value.strip(" \t")


def optional(*values):
    return st.sampled_from([None, *values]) | chars


SENDERS = (
    {"Sec-Fetch-Site": "same-origin"}, {"Origin": OWN}, {"Authorization": "Bearer fuzz-bob"},
    {"Authorization": "Bearer fuzz-sue"}, {"Authorization": "Bearer fuzz-sue", "Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
)  # fmt: skip
"""Who may pass, by what they say, and who may not."""

changes = {
    "Authorization": optional("Bearer", "Bearer fuzz-off", "bearer fuzz-sue", " Bearer fuzz-sue",
                              "Basic ZnV6ei1zdWU6cHc=", "Bearer fuzz-sue "),
    "Origin": optional("https://evil.example", "null", OWN + ".evil.example", "http://[x"),
    "Sec-Fetch-Site": optional("same-site", "cross-site", "none", "same-origin, x"),
    "Accept": optional("*/*", "text/xml", "application/xml, */*;q=0.1", "text/html", "x;q=nan"),
    "Idempotency-Key": optional("a-1", '"a-1"', '"'),
    "Content-Encoding": optional("gzip", "identity"),
    "Transfer-Encoding": optional("chunked"),
    "X-Csrftoken": optional("x" * 64),
    "Cookie": optional("csrftoken=" + "x" * 32),
}  # fmt: skip


@st.composite
def requests(draw):
    """Return a request of such a sender, of which up to three things are changed."""
    sender = dict(draw(st.sampled_from(SENDERS)))
    length = None
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3]))):
        name = draw(st.sampled_from([*changes, "Content-Length"]))
        if name == "Content-Length":
            length = draw(st.sampled_from(["0", "-1", "9" * 5000, "65537", "1e3", "٣", "1"]))
        elif (value := draw(changes[name])) is None:
            sender.pop(name, None)
        else:
            sender[name] = value
    methods = st.sampled_from([*METHODS] * 4 + ["Open", "users ", "*", "staff.*"])
    return {
        "method": draw(methods if draw(st.integers(0, 9)) else st.text(max_size=9)),
        "body": draw(bodies()),
        "headers": sender,
        "length": length,
        "session": draw(st.sampled_from([None, "fuzz-ann"])),
        "over": draw(st.sampled_from(["wsgi", "wsgi", "asgi"])),
    }


class Site:
    """What is declared, and who has reached it."""

    def __init__(self):
        make = get_user_model().objects.create_user
        self.users = {name: make(name) for name in ("fuzz-ann", "fuzz-bob", "fuzz-sue")}
        make("fuzz-off", is_active=False)
        may = Permission.objects.get(codename="view_user", content_type__app_label="auth")
        self.users["fuzz-sue"].user_permissions.add(may)
        self.reached = []
        self.clients = {None: Client(enforce_csrf_checks=True, raise_request_exception=False)}
        self.clients["fuzz-ann"] = Client(enforce_csrf_checks=True, raise_request_exception=False)
        self.clients["fuzz-ann"].force_login(self.users["fuzz-ann"])
        self._declare()

    def _declare(self):
        def note(call):
            self.reached.append((call.method, call.user.get_username()))

        @on_rpc("open", anonymous=True)
        def open_(call, **more):
            note(call)
            return more

        @on_rpc("users")
        def users(call, data=None):
            note(call)

        @on_rpc("staff.all", can="auth.view_user")
        async def staff(call, **more):
            note(call)
            return more

        @on_rpc("typed")
        def typed(call, n: int, tags: list[str] | None = None):
            note(call)
            return {"n": n, "tags": tags}

        @on_rpc("echo")
        def echo(call, data=None):
            note(call)
            return {"id": call.id, "data": data}

    def play(self, asked):
        """Ask; return what came of it in a word. Raises AssertionError for what must not be."""
        self.reached.clear()
        response = (self._over_asgi if asked["over"] == "asgi" else self._over_wsgi)(asked)
        status = response.status_code
        assert status < 500, response.content
        assert (status == 200) == bool(self.reached), (status, self.reached)
        if self.reached:
            assert self.reached == [(asked["method"], self._who(asked))]
            assert asked["method"] != "staff.all" or self.reached[0][1] == "fuzz-sue"
            assert asked["method"] == "open" or self.reached[0][1]
        if response["Content-Type"] == "application/json":
            answer = json.loads(response.content)
            assert "data" in answer if status == 200 else isinstance(answer["error"], str)
        kind = asked["body"][1].partition(";")[0]
        return f"{status} {kind}" if kind in WRITERS else f"{status} other"

    def _who(self, asked):
        """Return who may have called, if anybody may."""
        given = asked["headers"]
        own = USERS.get(given.get("Authorization", "").strip(" \t"))
        if own is None and given.get("Sec-Fetch-Site") != "same-origin":
            assert given.get("Origin") == OWN, "another site's page"
        if own is not None:
            return own
        return asked["session"] or ""

    def _over_wsgi(self, asked):
        raw, kind = asked["body"]
        length = str(len(raw)) if asked["length"] is None else asked["length"]
        sent = {k: stripped(v) for k, v in asked["headers"].items() if k != "Cookie"}
        client = self.clients[asked["session"]]
        return client.generic(
            "POST", f"/instant/rpc/{quote(asked['method'], safe='')}/", raw, headers=sent,
            **{"wsgi.input": io.BytesIO(raw), "CONTENT_LENGTH": length, "CONTENT_TYPE": kind},
        )  # fmt: skip

    def _over_asgi(self, asked):
        """Without a length, as chunks come, unless one is said."""
        raw, kind = asked["body"]
        given = {k: stripped(v) for k, v in asked["headers"].items()}
        said = {"Host": "testserver", "Content-Type": kind, **given}
        if asked["length"] is not None:
            said["Content-Length"] = asked["length"]
        scope = {
            "type": "http", "method": "POST", "path": "/instant/rpc/x/", "query_string": b"",
            "scheme": "http", "server": ("testserver", 80),
            "headers": [(k.lower().encode(), v.encode("latin-1", "replace")) for k, v in said.items()],
        }  # fmt: skip
        request = ASGIRequest(scope, io.BytesIO(raw))
        request.session = {}
        request.user = self.users.get(asked["session"], AnonymousUser())
        return rpc(request, method=asked["method"])
