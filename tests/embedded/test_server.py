import asyncio
import base64
import json
import os
import socket

import pytest
import websockets

from instant.embedded import EmbeddedServer
from instant.embedded.transports.write_queue import FLUSH_BATCH, WriteQueue
from tests.conformance.player import token
from tests.embedded.fakes import CONFIG, subscriber_count


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


async def test_a_client_may_open_no_more_channels_than_allowed(site):
    async with site.client("1") as client:
        commands = [{"id": n + 2, "subscribe": {"channel": f"plain:{n}"}} for n in range(500)]
        await client.send("\n".join(map(json.dumps, commands)))
        replies = []
        while len(replies) < 500:
            replies += map(json.loads, (await client.recv()).splitlines())
        assert sum("subscribe" in reply for reply in replies) == 128
        assert {reply["error"]["code"] for reply in replies if "error" in reply} == {106}


async def test_stop_says_shutdown_and_frees_the_port():
    server = EmbeddedServer(CONFIG, variables={})
    port = await server.start("127.0.0.1", 0)
    url = f"ws://127.0.0.1:{port}/connection/websocket"
    async with websockets.connect(url) as client:
        await client.send(json.dumps(connecting()))
        await client.recv()
        stopping = asyncio.ensure_future(server.stop())
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3001, "shutdown")
        await stopping
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_a_taken_port_is_an_error_and_leaves_nothing_behind(site):
    with pytest.raises(OSError, match="address already in use"):
        await EmbeddedServer(CONFIG, variables={}).start("127.0.0.1", site.port)


async def test_a_fan_out_leaves_the_loop_to_others():
    written = []

    class Connection:
        def flush(self):
            written.append(self)

    queue = WriteQueue(asyncio.get_running_loop())
    for _ in range(3 * FLUSH_BATCH):
        queue.add(Connection())
    assert written == []
    seen = []
    while len(written) < 3 * FLUSH_BATCH:
        await asyncio.sleep(0)
        seen.append(len(written))
    assert seen[0] <= FLUSH_BATCH
    assert seen[1] <= 2 * FLUSH_BATCH


class TestHttp:
    async def test_no_key_opens_nothing(self, site):
        for headers in (
            {"X-API-Key": "wrong"},
            {"X-API-Key": ""},
            {"X-API-Key": "", "Authorization": "bearer key"},
        ):
            assert (await site.api("info", **headers))[0] == 401
        assert (await site.api("info"))[0] == 200

    @pytest.mark.parametrize("config", [{**CONFIG, "http_api": {}}])
    async def test_an_empty_key_opens_nothing(self, site):
        assert (await site.api("info", **{"X-API-Key": ""}))[0] == 401
        async with site.http.post(f"{site.url}/api/info?api_key=") as response:
            assert response.status == 401

    async def test_a_bug_is_error_100(self, site, monkeypatch, caplog):
        def broken(*args):
            raise RuntimeError("s3cret")

        monkeypatch.setattr(site.broker, "counts", broken)
        status, body = await site.api("info", {"channel": "s3cret"})
        assert (status, json.loads(body)["error"]["code"]) == (200, 100)
        assert "RuntimeError" in caplog.text
        assert "s3cret" not in caplog.text
        assert (await site.api("presence", {"channel": "room:1"}))[0] == 200

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"\xff", b'{"channel":1}', b"[" * 100_000, b'{"commands":[[]]}', b'{"a":NaN}']
    )  # fmt: skip
    async def test_what_is_no_request_is_400(self, site, body):
        status, _ = await site.api("batch" if b"commands" in body else "publish", body)
        assert status == 400

    @pytest.mark.parametrize(
        "config",
        [{**CONFIG, "health": {"enabled": True}, "prometheus": {"enabled": True}}],
    )
    async def test_health_and_metrics(self, site):
        async with site.http.get(f"{site.url}/health") as response:
            assert (response.status, await response.text()) == (200, "{}")
        async with site.client("1", "plain:1"), site.http.get(f"{site.url}/metrics") as response:
            assert "\ncentrifugo_node_num_subscriptions 1\n" in await response.text()

    async def test_what_is_off_is_not_there(self, site):
        for path in (
            "/health",
            "/metrics",
            "/connection/sse",
            "/connection/uni_sse",
            "/emulation",
            "/",
        ):
            async with site.http.post(site.url + path) as response:
                assert response.status == 404, path

    @pytest.mark.parametrize(
        "config",
        [{**CONFIG, "client": {**CONFIG["client"], "allowed_origins": ["http://ok.example"]}, "http_stream": {"enabled": True}}],
    )  # fmt: skip
    async def test_only_allowed_origins_may_read(self, site):
        for origin, allowed in (
            ("http://ok.example", "http://ok.example"),
            ("http://no.example", None),
        ):
            async with site.http.options(
                f"{site.url}/emulation", headers={"Origin": origin}
            ) as response:
                assert response.status == 204
                assert response.headers.get("Access-Control-Allow-Origin") == allowed

    async def test_no_handshake(self, site):
        async with site.http.get(f"{site.url}/connection/websocket") as response:
            assert response.status == 400


async def test_a_port_of_its_own_for_the_api():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        internal = probe.getsockname()[1]
    ports = {"internal_address": "127.0.0.1", "internal_port": str(internal)}
    server = EmbeddedServer({**CONFIG, "http_server": ports}, variables={})
    port = await server.start("127.0.0.1", 0)
    try:
        for where, status in ((port, b"404"), (internal, b"401")):
            reader, writer = await asyncio.open_connection("127.0.0.1", where)
            writer.write(b"POST /api/info HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert (await reader.readline()).split()[1] == status
            writer.close()
            await writer.wait_closed()
    finally:
        await server.stop()
