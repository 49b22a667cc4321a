"""Who may connect, how, and what stays of those who leave."""

import asyncio
import gc
import json
import tracemalloc

import pytest
import websockets
from websockets.asyncio.client import connect

from tests.conformance.player import token
from tests.embedded.fakes import CONFIG, subscriber_count


def with_client(**client):
    return {**CONFIG, "client": {**CONFIG["client"], **client}}


STREAMS = {
    **with_client(channel_limit=20_000),
    "sse": {"enabled": True},
    "http_stream": {"enabled": True},
    "uni_sse": {"enabled": True},
    "uni_http_stream": {"enabled": True},
    "websocket": {"message_size_limit": 2**21},
}


@pytest.mark.parametrize("config", [STREAMS])
@pytest.mark.parametrize("kind", ["sse", "http_stream", "uni_sse", "uni_http_stream"])
async def test_a_streamed_client_that_hangs_up_is_seen_at_once(site, kind):
    connecting = {"token": token({"sub": "1", "subs": {"room:1": {}}})}
    first = json.dumps(connecting if kind.startswith("uni") else {"id": 1, "connect": connecting})
    url = f"{site.url}/connection/{kind}"
    if kind.endswith("sse"):
        response = await site.http.get(url, params={"cf_connect": first})
    else:
        headers = {"Content-Type": "application/json"}
        response = await site.http.post(url, data=first, headers=headers)
    await site.until(lambda: subscriber_count(site.broker, "room:1") == 1)
    response.close()
    await site.until(lambda: subscriber_count(site.broker, "room:1") == 0)
    assert site.server.http_streams == {}


@pytest.mark.parametrize(
    ("query", "protocols"),
    [("?cf_protocol=protobuf", None), ("?format=protobuf", None), ("", ["centrifuge-protobuf"])],
)
async def test_protobuf_is_refused_with_a_code_that_sdks_give_up_at(site, query, protocols):
    url = f"ws://127.0.0.1:{site.port}/connection/websocket{query}"
    async with connect(url, subprotocols=protocols) as socket:
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await socket.recv()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (3506, "inappropriate protocol")
    async with connect(
        f"ws://127.0.0.1:{site.port}/connection/websocket", subprotocols=["centrifuge-json"]
    ) as socket:
        assert socket.subprotocol == "centrifuge-json"


@pytest.mark.parametrize("config", [STREAMS])
async def test_protobuf_over_a_stream_is_refused(site):
    headers = {"Content-Type": "application/octet-stream"}
    url = f"{site.url}/connection/http_stream"
    async with site.http.post(url, data=b"\x01\x02", headers=headers) as response:
        assert response.status == 400
        assert "protobuf" in await response.text()


# -- abuse ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [STREAMS])
@pytest.mark.slow
async def test_ten_thousand_subscriptions_of_one_client(site):
    many = 10_000
    async with site.client("1") as socket:
        got = 0
        for start in range(0, many, 500):
            commands = [
                {"id": number + 2, "subscribe": {"channel": f"plain:{number}"}}
                for number in range(start, start + 500)
            ]
            await socket.send("\n".join(map(json.dumps, commands)))
            while got < start + 500:
                replies = [json.loads(line) for line in (await socket.recv()).splitlines()]
                assert not any("error" in reply for reply in replies)
                got += len(replies)
        assert site.broker.counts()["num_channels"] == many
        await site.publish(f"plain:{many - 1}", "last")
        assert json.loads(await socket.recv())["push"]["pub"]["data"] == "last"
    await site.until(lambda: site.broker.counts()["num_subs"] == 0)
    assert site.broker.hub.channels == {}


async def test_ten_megabytes_end_their_own_connection_only(site):
    async with site.client("2", "plain:1") as watcher:
        for frame in ("x" * 10 * 2**20, b"\x00" * 10 * 2**20):
            async with site.client("1") as socket:
                with pytest.raises(websockets.ConnectionClosed):
                    await socket.send(frame)
                    await socket.recv()
        await site.publish("plain:1", "still here")
        assert "still here" in await watcher.recv()


@pytest.mark.slow
async def test_connections_that_come_and_go_leave_no_memory_behind(site):
    async def visit():
        async with site.client("1", "open:1", "room:1", "plain:1") as socket:
            await socket.send('{"id":9,"presence":{"channel":"room:1"}}\n{"id":10,"nonsense":{}}')
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await socket.recv()

    async def visits(count):
        for _ in range(count):
            await asyncio.gather(*(visit() for _ in range(20)))
        await site.until(lambda: not site.server.websockets and not site.server._tasks)

    await visits(3)
    tracemalloc.start()
    try:
        await visits(1)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        await visits(10)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert site.broker.hub.clients == {}
    assert site.broker.hub.sessions == {}
    # 200 clients came and went: less than a KiB of each may be left, whatever Python caches.
    assert after - before < 200 * 1024
