"""A running server, and clients that speak to it."""

import asyncio
import contextlib
import json

import aiohttp
import pytest
from websockets.asyncio.client import connect

from instant.embedded import EmbeddedServer
from tests.conformance.player import token
from tests.embedded.fakes import CONFIG


class Site:
    """One server and the ways to it."""

    def __init__(self, server, port, http):
        self.server = server
        self.broker = server.broker
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.http = http

    async def api(self, method, body=None, **headers):
        async with self.http.post(
            f"{self.url}/api/{method}",
            data=body if isinstance(body, bytes) else json.dumps(body or {}),
            headers={"X-API-Key": "key", **headers},
        ) as response:
            return response.status, await response.text()

    async def publish(self, channel, data):
        return await self.api("publish", {"channel": channel, "data": data})

    @contextlib.asynccontextmanager
    async def client(self, user="1", *channels):
        """Connect, subscribe, and give the socket once all of it is answered."""
        url = f"ws://127.0.0.1:{self.port}/connection/websocket"
        async with connect(url, compression=None, max_size=None, ping_interval=None) as socket:
            commands = [{"id": 1, "connect": {"token": token({"sub": user})}}]
            commands += [
                {"id": number, "subscribe": {"channel": name}}
                for number, name in enumerate(channels, 2)
            ]
            await socket.send("\n".join(map(json.dumps, commands)))
            got = []
            while len(got) < len(commands):
                got += map(json.loads, (await socket.recv()).splitlines())
            assert not any("error" in reply for reply in got)
            yield socket

    async def until(self, condition):
        """Wait for something to become true."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
def config():
    return CONFIG


@pytest.fixture
async def site(config):
    server = EmbeddedServer(config, variables={})
    port = await server.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as http:
        yield Site(server, port, http)
    await server.stop()
