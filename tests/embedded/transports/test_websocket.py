"""WebSockets: handshakes, clients that misbehave, and what stays of those who leave."""

import asyncio
import base64
import gc
import json
import os
import tracemalloc

import pytest
import websockets
from websockets.asyncio.client import connect

from tests.conformance.player import token
from tests.embedded.fakes import CONFIG, subscriber_count

pytestmark = pytest.mark.timed

WIDE = {
    **CONFIG,
    "client": {**CONFIG["client"], "channel_limit": 20_000},
    "websocket": {"message_size_limit": 2**21},
}


def masked(text):
    """Frame a client's text message (RFC 6455: clients mask, here with zeros)."""
    payload = text.encode()
    assert len(payload) < 2**16
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


async def handshake(site, *commands):
    """Open a WebSocket by hand, send commands, and leave everything else to the test."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=2**26)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    for command in commands:
        writer.write(masked(json.dumps(command)))
    return reader, writer


def connecting(user="1"):
    return {"id": 1, "connect": {"token": token({"sub": user})}}


async def test_no_handshake(site):
    async with site.http.get(f"{site.url}/connection/websocket") as response:
        assert response.status == 400


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


async def test_a_client_that_never_reads_is_sent_away_and_slows_nobody(site):
    reader, writer = await handshake(
        site, connecting("slow"), {"id": 2, "subscribe": {"channel": "plain:1"}}
    )
    writer.transport.pause_reading()
    async with site.client("fast", "plain:1") as fast:
        await site.until(lambda: subscriber_count(site.broker, "plain:1") == 2)
        (slow,) = site.broker.hub.connections("slow")
        sent = 0
        while not slow.closed:
            assert sent < 400, "64 MiB and still not slow"
            await site.publish("plain:1", {"n": sent, "pad": "x" * 2**17})
            message = json.loads(await fast.recv())
            assert message["push"]["pub"]["data"]["n"] == sent
            sent += 1
        assert subscriber_count(site.broker, "plain:1") == 1
        writer.transport.resume_reading()
        # The last words, after what was already on its way: 3008 in two bytes, and the reason.
        assert (await reader.read(-1)).endswith(b"\x88\x06\x0b\xc0slow")
        await site.publish("plain:1", {"n": "after"})
        assert json.loads(await fast.recv())["push"]["pub"]["data"]["n"] == "after"
    writer.close()


async def test_a_burst_arrives_whole_and_in_order(site):
    async with asyncio.TaskGroup() as tasks:
        ready = asyncio.Barrier(31)

        async def read():
            async with site.client("1", "open:1") as client:
                await ready.wait()
                numbers = []
                while len(numbers) < 300:
                    for line in (await client.recv()).splitlines():
                        numbers.append(json.loads(line)["push"]["pub"]["offset"])  # noqa: PERF401
                assert numbers == list(range(1, 301))

        for _ in range(30):
            tasks.create_task(read())
        await ready.wait()
        commands = [{"publish": {"channel": "open:1", "data": n}} for n in range(300)]
        status, _ = await site.api("batch", {"commands": commands})
        assert status == 200


async def test_a_client_may_open_no_more_channels_than_allowed(site):
    async with site.client("1") as client:
        commands = [{"id": n + 2, "subscribe": {"channel": f"plain:{n}"}} for n in range(500)]
        await client.send("\n".join(map(json.dumps, commands)))
        replies = []
        while len(replies) < 500:
            replies += map(json.loads, (await client.recv()).splitlines())
        assert sum("subscribe" in reply for reply in replies) == 128
        assert {reply["error"]["code"] for reply in replies if "error" in reply} == {106}


async def test_a_huge_frame_ends_its_own_connection_only(site):
    async with site.client("1", "open:1") as other:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            async with site.client("2") as client:
                await client.send(json.dumps({"id": 2, "rpc": {"data": "x" * 10 * 2**20}}))
                await client.recv()
        # The rest of the frame may meet a closed socket before the reason is read.
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        await site.publish("open:1", 1)
        assert json.loads(await other.recv())["push"]["pub"]["data"] == 1


@pytest.mark.parametrize("config", [WIDE])
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
async def test_a_thousand_that_connect_and_vanish_leave_nothing(site):
    async def vanish(number):
        _, writer = await handshake(
            site, connecting(str(number)), {"id": 2, "subscribe": {"channel": "room:1"}}
        )
        writer.transport.abort()
        writer.close()

    for begin in range(0, 1000, 100):
        await asyncio.gather(*map(vanish, range(begin, begin + 100)))
    await site.until(lambda: not site.server.websockets)
    await site.until(lambda: not site.server._tasks)
    assert site.broker.counts() == {
        "num_clients": 0,
        "num_users": 0,
        "num_subs": 0,
        "num_channels": 0,
    }
    async with site.client("1", "open:1"):
        pass


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
