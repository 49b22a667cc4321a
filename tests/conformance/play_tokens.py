"""Shows a server tokens of every shape, and returns what it made of them."""

import asyncio
import json

import aiohttp
from websockets import ConnectionClosed
from websockets.asyncio.client import connect

from tests.conformance.spelling import token, written

PATIENCE = 10.0
AT_ONCE = 16

# What every connection is told.
_USUAL = ("client", "version", "ping", "pong")
_YEARS = 2 * 365 * 24 * 3600


class Bearer:
    """One client that shows one token."""

    def __init__(self, url, http, row, value):
        self.url, self.http, self.row = url, http, row
        self.token = value if "raw" in row else written(row, value)

    async def answer(self):
        """Return what the client was told, or why it was sent away."""
        url = self.url.replace("http", "ws", 1) + "/connection/websocket"
        show = self._subscribe if "subscribe" in self.row else self._connect
        async with connect(url, compression=None, ping_interval=None) as socket:
            try:
                return await show(socket)
            except ConnectionClosed as closed:
                return {"close": [closed.rcvd.code, closed.rcvd.reason]}

    @staticmethod
    async def _ask(socket, number, name, fields):
        await socket.send(json.dumps({"id": number, name: fields}))
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in (await socket.recv()).split("\n"):
                    reply = json.loads(line)
                    if reply.get("id") == number:
                        return reply

    async def _connect(self, socket):
        reply = await self._ask(socket, 1, "connect", {"token": self.token})
        if "error" in reply:
            return {"error": reply["error"]["code"]}
        client = reply["connect"]["client"]
        channel = f"open:{client}"
        await self._ask(socket, 2, "subscribe", {"channel": channel})
        return {"told": self._told(reply["connect"]), "who": await self._who(channel, client)}

    async def _subscribe(self, socket):
        mine = {"token": token({"sub": "1", "aud": "site", "iss": "me"})}
        client = (await self._ask(socket, 1, "connect", mine))["connect"]["client"]
        channel = self.row["subscribe"]
        fields = {"channel": channel, "token": self.token}
        reply = await self._ask(socket, 2, "subscribe", fields)
        if "error" in reply:
            return {"error": reply["error"]["code"]}
        return {"told": self._told(reply["subscribe"]), "who": await self._who(channel, client)}

    async def _who(self, channel, client):
        """Return who the client is to others."""
        key = {"X-API-Key": "key"}
        body = {"channel": channel}
        async with self.http.post(self.url + "/api/presence", json=body, headers=key) as response:
            text = await response.text(errors="replace")
        if "times" in self.row:
            # More than Python can read.
            return {"characters": len(text)}
        found = json.loads(text).get("result", {}).get("presence", {}).get(client, {})
        return {name: value for name, value in found.items() if name != "client"}

    @staticmethod
    def _told(fields):
        told = {name: value for name, value in fields.items() if name not in _USUAL}
        for result in (told, *told.get("subs", {}).values()):
            if "epoch" in result:
                result["epoch"] = "<epoch>"
            if result.get("ttl", 0) > _YEARS:
                result["ttl"] = "years"
        return told


async def answers(url, rows):
    """Return the answers to each row's tokens, by value."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row, value):
        async with gate:
            return value, await Bearer(url, http, row, value).answer()

    async def all_of(row):
        values = [value for values, *_ in row["answers"] for value in values]
        return dict(await asyncio.gather(*(one(row, value) for value in values)))

    async with aiohttp.ClientSession() as http:
        return await asyncio.gather(*map(all_of, rows))
