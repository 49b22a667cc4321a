"""Tokens whose keys are published at an address."""

import asyncio
import contextlib
import json
import time

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instant.embedded import EmbeddedServer
from instant.embedded.config.load import parse
from instant.embedded.json_text import Fields
from instant.embedded.tokens.jwks import (
    KEPT_FOR,
    MissingKey,
    PublishedKeys,
    UnusableKeySet,
    read_key_set,
)
from instant.embedded.wire_forms import Form
from tests.conformance.backend import Backend
from tests.conformance.signing import public, served, signed
from tests.embedded.conftest import Site
from tests.embedded.fakes import Client, make_broker

pytestmark = pytest.mark.timed

URL = "https://id.example/keys"
NAMESPACE = {"name": "open", "allow_subscribe_for_client": True}


def config_of(endpoint=URL, **options):
    token = {"jwks_public_endpoint": endpoint, **options}
    channel = {"namespaces": [NAMESPACE]}
    return {"client": {"token": token}, "channel": channel, "http_api": {"key": "key"}}


def test_a_key_is_kept_for_an_hour_after_its_last_use():
    now = [0.0]
    keys = PublishedKeys(URL, "", lambda: now[0])
    keys.add_set(URL, served("one"))
    assert keys.find(URL + "2", "rsa") is None
    for _ in range(2):
        now[0] += KEPT_FOR - 1
        assert keys.find(URL, "rsa")
    now[0] += KEPT_FOR + 1
    assert keys.find(URL, "rsa") is None
    keys.add_set(URL, json.dumps({"keys": [public("ed")]}))
    assert list(keys._known) == [(URL, "ed")]


def test_a_path_that_a_token_bends_is_no_address():
    keys = PublishedKeys(URL + "/{{t}}", "", time.monotonic)
    assert keys.url({"t": "a"}) == URL + "/a"
    for bent in ("..", "%2e%2e", "a/../b", "a//b", ""):
        assert keys.url({"t": bent}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "AQAB", "sig"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["keys", "kty", "crv", "x", "y", "n", "e", "d", "k", "kid", "use", "alg"]), inner, max_size=8),
    max_leaves=20,
)  # fmt: skip


@given(st.text() | JSON.map(json.dumps) | JSON.map(lambda key: json.dumps({"keys": [key]})))
def test_whatever_is_served_is_a_set_or_unusable(text):
    with contextlib.suppress(UnusableKeySet):
        read_key_set(text)


@pytest.mark.parametrize(("key", "algorithm"), [("rsa", "RS256"), ("ec521", "ES512"), ("ed", "EdDSA")])  # fmt: skip
def test_a_signature_of_another_length_is_none(key, algorithm):
    found = read_key_set(served("all"))[key]
    for signature in (b"", b"x", b"x" * 64, b"x" * 5000):
        assert not found.valid(algorithm, b"m", signature)


# -- a session waits for a key --------------------------------------------------------------------


@pytest.fixture
def broker():
    config = config_of()
    config["client"]["concurrency"] = 4
    return make_broker(config)


def granted(client):
    """Give a client the key it waits for."""
    key, then = client.peer.missing_keys.pop(0)
    assert isinstance(key, MissingKey)
    key.keys.add_set(key.url, served("all"))
    then()


def by(key="rsa", algorithm="RS256", kid=None, **claims):
    return signed({"sub": "1", **claims}, key, algorithm, kid or key)


def connected(broker):
    client = Client(broker)
    client.send({"id": 1, "connect": {"token": by()}})
    if client.peer.missing_keys:
        granted(client)
    client.take()
    return client


def test_a_known_key_is_not_asked_for(broker):
    first, second = connected(broker), Client(broker)
    assert first.peer.missing_keys == []
    (reply,) = second.send({"id": 1, "connect": {"token": by("rsa-any", "RS512")}})
    assert "connect" in reply
    assert second.peer.missing_keys == []


def test_who_leaves_while_waiting_stays_away(broker):
    client = Client(broker)
    client.send({"id": 1, "connect": {"token": by()}})
    client.session.disconnected()
    granted(client)
    assert broker.hub.clients == {}
    assert client.take() == []


def test_another_config_does_not_take_the_key_away(broker):
    client = Client(broker)
    client.send({"id": 1, "connect": {"token": by()}})
    broker.reconfigure(parse(config_of("https://other.example"), {}))
    granted(client)
    assert "connect" in client.take()[0]


def test_a_subscription_waits_and_is_there_once(broker):
    client = connected(broker)
    token = by("ed", "EdDSA", kid="later", channel="open:1")
    asked = {"subscribe": {"channel": "open:1", "token": token}}
    (twice,) = client.send({"id": 2, **asked}, {"id": 3, **asked})
    assert (twice["id"], twice["error"]["code"]) == (3, 105)
    key, then = client.peer.missing_keys.pop()
    key.keys.add_set(key.url, json.dumps({"keys": [{**public("ed"), "kid": "later"}]}))
    then()
    assert client.take() == [{"id": 2, "subscribe": {}}]


def test_a_subscription_that_is_ended_while_it_waits(broker):
    client = connected(broker)
    token = by(kid="none", channel="open:1")
    client.send({"id": 2, "subscribe": {"channel": "open:1", "token": token}})
    _, then = client.peer.missing_keys.pop()
    then()
    (refused,) = client.take()
    assert refused["error"]["code"] == 103
    assert client.session.subscribing == {}


def test_a_one_way_client_waits_too(broker):
    client = Client(broker, form=Form.BARE_LINE)
    client.session.connect_one_way(Fields(json.dumps({"token": by()})))
    assert client.take() == []
    granted(client)
    assert "connect" in client.take()[0]


def test_unsigned_tokens_wish_for_nothing():
    config = config_of()
    config["client"]["insecure_skip_token_signature_verify"] = True
    client = Client(make_broker(config))
    (reply,) = client.send({"id": 1, "connect": {"token": by()}})
    assert "connect" in reply


# -- over HTTP ------------------------------------------------------------------------------------


class Keyed(Site):
    async def connect(self, token):
        """Connect and return the reply, or the close code."""
        url = f"ws://127.0.0.1:{self.port}/connection/websocket"
        async with self.http.ws_connect(url) as socket:
            await socket.send_json({"id": 1, "connect": {"token": token}})
            message = await socket.receive(timeout=60)
            return socket.close_code or json.loads(message.data)


@pytest.fixture
async def keyed():
    backend = Backend()
    servers = []
    async with backend.running() as url, aiohttp.ClientSession() as http:

        async def start(name):
            server = EmbeddedServer(config_of(f"{url}/keys/{name}"), variables={})
            servers.append(server)
            port = await server.start("127.0.0.1", 0)
            return Keyed(server, port, http), backend

        yield start
        for server in servers:
            await server.stop()


async def test_many_clients_share_one_request(keyed, monkeypatch):
    # A request that times out is sent again, which a busy machine must not bring about.
    monkeypatch.setattr("instant.embedded.tokens.jwks_client.TIMEOUT", 60)
    site, backend = await keyed("all")
    replies = await asyncio.gather(*(site.connect(by()) for _ in range(50)))
    assert all("connect" in reply for reply in replies)
    assert len(backend.asked) == 1


@pytest.mark.slow
async def test_invented_ids_ask_once_a_second_and_keep_nobody_out(keyed):
    site, backend = await keyed("rotating")
    begin = time.monotonic()
    tokens = [by(kid=str(number)) for number in range(30)]
    first = await asyncio.gather(*map(site.connect, tokens))
    *second, good = await asyncio.gather(*map(site.connect, tokens), site.connect(by("ec256", "ES256")))  # fmt: skip
    assert set(first + second) == {3500}
    assert "connect" in good
    assert 2 <= len(backend.asked) <= time.monotonic() - begin + 1


@pytest.mark.slow
async def test_a_slow_endpoint_holds_nobody_else_up(keyed):
    site, backend = await keyed("slow")
    waiting = asyncio.create_task(site.connect(by()))
    await site.until(lambda: backend.asked)
    await site.api("publish", {"channel": "open:1", "data": 1})
    assert not waiting.done()
    assert await waiting == 3500


async def test_a_set_without_an_end_is_let_go(keyed, monkeypatch):
    monkeypatch.setattr("instant.embedded.tokens.jwks_client.SIZE_LIMIT", 100)
    monkeypatch.setattr("instant.embedded.tokens.jwks_client.TIMEOUT", 60)
    site, backend = await keyed("all")
    assert await site.connect(by()) == 3500
    assert len(backend.asked) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("endpoint", "connects"), [("hangs", True), ("slow", False)])
async def test_who_comes_while_keys_are_fetched_shares_the_outcome(
    keyed, endpoint, connects, monkeypatch
):
    if (
        connects
    ):  # the second request is answered, if it is given the time that a busy machine takes
        monkeypatch.setattr("instant.embedded.tokens.jwks_client.TIMEOUT", 5)
    site, backend = await keyed(endpoint)
    first = asyncio.create_task(site.connect(by()))
    await site.until(lambda: backend.asked)
    for reply in (await site.connect(by()), await first):
        assert ("connect" in reply) if connects else reply == 3500
    assert len(backend.asked) == 2
