"""Ports and paths of the server as a whole."""

import asyncio
import json
import socket

import pytest
import websockets

from instant.embedded import EmbeddedServer
from instant.embedded import server as server_module
from tests.conformance.player import token
from tests.embedded.fakes import CONFIG
from tests.ports import free_port

pytestmark = pytest.mark.timed


async def test_stop_says_shutdown_and_frees_the_port():
    server = EmbeddedServer(CONFIG, variables={})
    port = await server.start("127.0.0.1", free_port())
    url = f"ws://127.0.0.1:{port}/connection/websocket"
    async with websockets.connect(url) as client:
        await client.send(json.dumps({"id": 1, "connect": {"token": token({"sub": "1"})}}))
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


async def test_others_have_their_turn_while_expired_streams_are_freed(monkeypatch):
    monkeypatch.setattr(server_module, "SWEEP_INTERVAL", 0)
    server = EmbeddedServer(CONFIG, variables={})
    order = []
    done = asyncio.Event()

    def sweep():
        for _ in range(3):
            order.append("sweep")
            server.loop.call_soon(order.append, "other")
            yield
        done.set()

    monkeypatch.setattr(server.broker.streams, "sweep", sweep)
    await server.start("127.0.0.1", 0)
    async with asyncio.timeout(20):
        await done.wait()
    await server.stop()
    assert order[:6] == ["sweep", "other"] * 3


async def test_a_port_of_its_own_for_the_api():
    internal = free_port()
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


@pytest.mark.parametrize(
    "config",
    [{**CONFIG, "health": {"enabled": True}, "prometheus": {"enabled": True}}],
)
async def test_health_and_metrics(site):
    async with site.http.get(f"{site.url}/health") as response:
        assert (response.status, await response.text()) == (200, "{}")
    async with site.client("1", "plain:1"), site.http.get(f"{site.url}/metrics") as response:
        assert "\ncentrifugo_node_num_subscriptions 1\n" in await response.text()


async def test_what_is_off_is_not_there(site):
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
