"""Frames that end Centrifugo 6.9.1, sent to servers with the config that Python compiles."""

import contextlib
import json
import urllib.parse
import urllib.request

import pytest
from django.test import Client
from websockets.exceptions import ConnectionClosed

from instant import Namespace, conf
from instant.server.sync import compare, write
from tests.live.servers import LiveServer, use
from tests.live.subscriber import Subscriber
from tests.real_server import KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db]

NAMES = ["news:1", "room:1", "desk:1", "public"]


@contextlib.contextmanager
def running(kind, folder, url, **instant):
    """A server whose config has a namespace of each kind."""
    everybody = {"can_subscribe": lambda self, user, pk: True}
    for name, attributes in {
        "news": {"authorize": "open", "presence": True, "history": True, "join_leave": True},
        "room": {"client_publish": "subscribers", **everybody},
        "desk": {"authorize": "proxy", "client_publish": "ask", **everybody},
    }.items():
        type(name, (Namespace,), {"name": name, "pattern": "<int:pk>", **attributes})
    server = LiveServer(kind, folder)
    with use(server, ALLOWED_ORIGINS=["http://testserver"], PROXY_URL=url, **instant):
        write(compare(conf.current()))
        server.start()
        yield server
        server.kill()


@pytest.fixture(params=KINDS)
def live(request, tmp_path, registry, live_server, make_channel):
    make_channel("public")  # a row
    with running(request.param, tmp_path, live_server.url) as server:
        yield server


@pytest.fixture(params=KINDS)
def live_lite(request, tmp_path, registry, live_server, make_channel):
    make_channel("public")
    with running(request.param, tmp_path, live_server.url, LITE=True) as server:
        yield server


def grants(user):
    client = Client(headers={"Sec-Fetch-Site": "same-origin"})
    if user is not None:
        client.force_login(user)
    body = json.dumps({"channels": NAMES})
    answer = client.post("/instant/get_token/", body, content_type="application/json").json()
    tokens = {channel["name"]: channel.get("token", "") for channel in answer["channels"]}
    assert list(tokens) == NAMES
    return answer["ws_token"], tokens


def at_connect(token, tokens):
    """Subscriptions that the server shall make when the client connects."""
    for value in (None, {}, {"tf": {"op": "and", "nodes": [None]}}):
        yield {"connect": {"token": token, "subs": dict.fromkeys(NAMES, value)}}
        for name in NAMES:
            yield {"connect": {"token": token, "subs": {name: value}}}
    yield {"connect": {"token": token, "subs": {name: {"token": tokens[name]} for name in NAMES}}}
    for name in ("#", "#1", "user:1", "$public"):
        yield {"connect": {"token": token, "subs": {name: None}}}
    yield {"connect": {"subs": dict.fromkeys(NAMES)}}


def later(name, token):
    """Commands of a client that may subscribe."""
    for nodes in ([None], [{"op": "and", "nodes": [None]}], [{"key": "a", "cmp": "eq"}, None]):
        for op in ("and", "or", "not"):
            tf = {"op": op, "nodes": nodes}
            yield {"subscribe": {"channel": name, "token": token, "tf": tf}}
    for track in ([None], [{"items": [None]}]):
        yield {"sub_refresh": {"channel": name, "token": token, "type": 1, "track": track}}
    yield {"subscribe": None}
    yield {"publish": {"channel": name, "data": None}}
    yield {"presence": None}


def send(server, command, before=()):
    """Send a command on a connection of its own, whatever comes of it."""
    with contextlib.suppress(ConnectionClosed, TimeoutError, OSError):
        page = Subscriber(server.url)
        try:
            for first in before:
                page.ask(**first)
            page.ask(**command)
        finally:
            page.close()


@pytest.mark.parametrize("who", ["a user", "a visitor"])
def test_no_frame_ends_the_server(live, make_user, who):
    token, tokens = grants(make_user() if who == "a user" else None)
    attacks = [(command, ()) for command in at_connect(token, tokens)]
    for name in NAMES:
        connect = {"connect": {"token": token}}
        subscribe = {"subscribe": {"channel": name, "token": tokens[name]}}
        attacks += [(command, (connect,)) for command in later(name, tokens[name])]
        attacks += [(command, (connect, subscribe)) for command in later(name, tokens[name])]
    for command, before in attacks:
        send(live, command, before)
        try:
            page = Subscriber(live.url)
        except OSError:
            pytest.fail(f"{command} ended the server")
        page.close()
    page = Subscriber(live.url)
    assert "connect" in page.connect(token)
    assert "subscribe" in page.subscribe("news:1", tokens["news:1"])
    page.close()


def send_one_way(server, connect):
    """Connect as the lite script does, in both ways; the first line that is answered is enough."""
    base = server.url.replace("ws", "http", 1).removesuffix("websocket")
    query = urllib.parse.urlencode({"cf_connect": json.dumps(connect)})
    for request in (
        urllib.request.Request(f"{base}uni_http_stream", json.dumps(connect).encode()),
        urllib.request.Request(f"{base}uni_sse?{query}"),
    ):
        request.add_header("Origin", "http://testserver")
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
            answer.readline()


@pytest.mark.parametrize("who", ["a user", "a visitor"])
def test_no_one_way_connection_ends_the_server(live_lite, make_user, who):
    token, tokens = grants(make_user() if who == "a user" else None)
    attacks = [command["connect"] for command in at_connect(token, tokens)]
    attacks += [{"data": {"ticket": "x"}, **one} for one in attacks[:6]]
    for connect in attacks:
        send_one_way(live_lite, connect)
        try:
            Subscriber(live_lite.url).close()
        except OSError:
            pytest.fail(f"{connect} ended the server")
    page = Subscriber(live_lite.url)
    assert "connect" in page.connect(token)
    page.close()
