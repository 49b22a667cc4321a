"""What applications do, through the official clients, on every server."""

import asyncio
import contextlib
import json
import logging
import shutil
from pathlib import Path

import cent
import centrifuge
import pytest

from tests.conformance.player import SECRET, token
from tests.conformance.servers import SERVERS
from tests.real_server import KINDS

pytestmark = pytest.mark.conformance

PATIENCE = 60
HISTORY = {"history_size": 100, "history_ttl": "300s", "force_recovery": True}
CONFIG = {
    "client": {"token": {"hmac_secret_key": SECRET}},
    "http_api": {"key": "key"},
    "sse": {"enabled": True},
    "http_stream": {"enabled": True},
    "channel": {
        "without_namespace": {**HISTORY, "presence": True},
        "namespaces": [
            {
                "name": "open",
                **HISTORY,
                "presence": True,
                "join_leave": True,
                "allow_subscribe_for_client": True,
                "allow_publish_for_subscriber": True,
                "allow_presence_for_subscriber": True,
                "allow_history_for_subscriber": True,
            },
            {"name": "plain", "allow_subscribe_for_client": True},
            {
                "name": "latest",
                **HISTORY,
                "history_size": 1,
                "force_recovery_mode": "cache",
                "auto_cache_recover": True,
                "allow_subscribe_for_client": True,
            },
            {
                "name": "delta",
                **HISTORY,
                "allowed_delta_types": ["fossil"],
                "delta_publish": True,
                "allow_subscribe_for_client": True,
            },
        ],
    },
}


@pytest.fixture(params=KINDS)
async def url(request):
    async with SERVERS[request.param](CONFIG) as found:
        yield found


@contextlib.asynccontextmanager
async def api_client(url, key="key"):
    client = cent.AsyncClient(url + "/api", key)

    async def call(method, **fields):
        request = getattr(cent, method.title().replace("_", "") + "Request")(**fields)
        return await getattr(client, method)(request)

    try:
        yield call
    finally:
        await client._session.close()


# -- npm centrifuge -------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["websocket", "http_stream"])
async def test_javascript(url, transport):
    node = shutil.which("node")
    assert node, "the JavaScript client needs Node 20 or newer on PATH"
    script = Path(__file__).with_name("clients.mjs")
    assert (script.parents[2] / "js-client" / "node_modules" / "centrifuge").is_dir(), (
        "the JavaScript client is not installed: cd js-client && npm ci"
    )
    tokens = token({"sub": "7"}), token({"sub": "7", "channel": "$private"})
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        node, script, url, transport, *tokens, stdout=pipe, stderr=pipe
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, (out, err)
    assert json.loads(out) == {
        "connected": transport,
        "subscribed": [True, True, False, False],
        "publication": [{"text": "hi"}, 1, "7"],
        "presence": ["7"],
        "presenceStats": {"numClients": 1, "numUsers": 1},
        "history": [[{"text": "hi"}], 1],
        "position": 1,
        "private": "$private",
        "refused": 103,
        "rpc": 108,
        "unknown": 102,
        "forbidden": 103,
        "join": "7",
        "leave": "7",
        "recovered": [True, "subscribed"],
        "missed": [1, 2, 3],
        "since": 3,
        "unrecovered": [True, False],
        "latest": "new",
        "delta": [1, 2, 3],
        "unsubscribed": 2000,
        "reconnecting": 4000,
        "disconnected": 3503,
    }


# -- PyPI centrifuge-python -----------------------------------------------------------------------


class Events(centrifuge.SubscriptionEventHandler, centrifuge.ClientEventHandler):
    """Remembers what happened, by name; `next` waits for one more of a name."""

    def __init__(self):
        self.queues = {}

    async def next(self, name):
        return await asyncio.wait_for(self._queue(name).get(), PATIENCE)

    def _queue(self, name):
        return self.queues.setdefault(name, asyncio.Queue())

    async def on_subscribed(self, ctx):
        self._queue("subscribed").put_nowait(ctx)

    async def on_unsubscribed(self, ctx):
        self._queue("unsubscribed").put_nowait(ctx)

    async def on_publication(self, ctx):
        self._queue("publication").put_nowait(ctx)

    async def on_join(self, ctx):
        self._queue("join").put_nowait(ctx)

    async def on_leave(self, ctx):
        self._queue("leave").put_nowait(ctx)

    async def on_connected(self, ctx):
        self._queue("connected").put_nowait(ctx)

    async def on_connecting(self, ctx):
        self._queue("connecting").put_nowait(ctx)

    async def on_disconnected(self, ctx):
        self._queue("disconnected").put_nowait(ctx)


@contextlib.asynccontextmanager
async def python_client(url, user="7"):
    async def get_token():
        return token({"sub": user})

    events = Events()
    client = centrifuge.Client(
        url.replace("http", "ws", 1) + "/connection/websocket",
        events=events,
        get_token=get_token,
        min_reconnect_delay=0.01,
        max_reconnect_delay=0.05,
    )
    logging.getLogger("centrifuge").setLevel(logging.ERROR)
    await client.connect()
    await client.ready(PATIENCE)
    try:
        yield client, events
    finally:
        await client.disconnect()


async def reading(client, channel):
    events = Events()
    subscription = client.new_subscription(channel, events=events, join_leave=True)
    await subscription.subscribe()
    await subscription.ready(PATIENCE)
    return subscription, events, await events.next("subscribed")


async def test_python(url):
    async with api_client(url) as api, python_client(url) as (client, events):
        subscription, seen, ctx = await reading(client, "open:py")
        assert (ctx.recoverable, ctx.recovered) == (True, False)
        await subscription.publish({"text": "hi"})
        publication = await seen.next("publication")
        assert (publication.pub.data, publication.pub.offset) == ({"text": "hi"}, 1)
        assert publication.pub.info.user == "7"
        presence = await subscription.presence()
        assert [found.user for found in presence.clients.values()] == ["7"]
        stats = await subscription.presence_stats()
        assert (stats.num_clients, stats.num_users) == (1, 1)
        history = await subscription.history(limit=10)
        assert [found.data for found in history.publications] == [{"text": "hi"}]
        assert history.offset == 1
        with pytest.raises(centrifuge.CentrifugeError) as caught:
            await client.rpc("nothing", {})
        assert caught.value.code == 108
        async with python_client(url, "8") as (other, _):
            await reading(other, "open:py")
            while (await seen.next("join")).info.user != "8":
                pass
        while (await seen.next("leave")).info.user != "8":
            pass
        # Thrown out for a moment: what was published meanwhile comes afterwards.
        again = cent.Disconnect(code=4000, reason="again")
        await api("disconnect", user="7", disconnect=again)
        await events.next("connecting")
        for number in (1, 2, 3):
            await api("publish", channel="open:py", data=number)
        assert [(await seen.next("publication")).pub.data for _ in range(3)] == [1, 2, 3]
        await api("unsubscribe", user="7", channel="open:py")
        assert (await seen.next("unsubscribed")).code == 2000
        await api("disconnect", user="7")
        assert (await events.next("disconnected")).code == 3503


# -- PyPI cent ------------------------------------------------------------------------------------


async def test_cent(url):
    async with api_client(url) as api, python_client(url) as (client, _):
        _, seen, _ = await reading(client, "open:api")
        sent = {"channel": "open:api", "data": {"n": 1}, "idempotency_key": "k"}
        first = await api("publish", **sent, tags={"t": "1"})
        assert first.offset == 1
        assert await api("publish", **sent) == first
        publication = (await seen.next("publication")).pub
        assert (publication.data, publication.tags) == ({"n": 1}, {"t": "1"})
        replies = await api("broadcast", channels=["open:api", "nope:1", "plain:1"], data={"n": 2})
        codes = [reply.error and reply.error.code for reply in replies.responses]
        assert codes == [None, 102, None]
        history = await api("history", channel="open:api", limit=10)
        assert [found.data for found in history.publications] == [{"n": 1}, {"n": 2}]
        assert (history.offset, history.epoch) == (2, first.epoch)
        position = cent.StreamPosition(offset=1, epoch=first.epoch)
        since = await api("history", channel="open:api", limit=1, since=position)
        assert [found.offset for found in since.publications] == [2]
        present = (await api("presence", channel="open:api")).presence
        assert [found.user for found in present.values()] == ["7"]
        stats = await api("presence_stats", channel="open:api")
        assert (stats.num_clients, stats.num_users) == (1, 1)
        assert (await api("channels", pattern="open:*")).channels["open:api"].num_clients == 1
        (node,) = (await api("info")).nodes
        assert node.num_channels >= 0
        both = [
            cent.PublishRequest(channel="open:api", data=3),
            cent.PresenceStatsRequest(channel="open:api"),
        ]
        batch = await api("batch", requests=both)
        assert (batch.replies[0].offset, batch.replies[1].num_users) == (3, 1)
        await api("history_remove", channel="open:api")
        assert (await api("history", channel="open:api", limit=10)).publications == []
        await api("refresh", user="7", expire_at=2**31)
        await api("subscribe", user="7", channel="plain:2")
        await api("unsubscribe", user="7", channel="open:api")
        assert (await seen.next("unsubscribed")).code == 2000
        elsewhere = cent.StreamPosition(offset=1, epoch="x")
        for call, code in (
            (api("publish", channel="nope:1", data=1), 102),
            (api("presence", channel="plain:1"), 108),
            (api("history", channel="open:api", since=elsewhere), 112),
        ):
            with pytest.raises(cent.CentApiResponseError) as caught:
                await call
            assert caught.value.code == code
        await api("disconnect", user="7")
    async with api_client(url, "no key") as wrong:
        with pytest.raises(cent.CentUnauthorizedError):
            await wrong("info")
