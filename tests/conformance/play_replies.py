"""Lets an application answer a server's proxies in every shape; returns what its client was told."""

import asyncio
import contextlib
import itertools
import json

from aiohttp import web
from websockets import ConnectionClosed
from websockets.asyncio.client import connect

from tests.conformance.spelling import spelt

PATIENCE = 10.0
AT_ONCE = 8
_numbers = itertools.count()


class Application:
    """Answers each question with the text that stands for it."""

    def __init__(self):
        self.texts = {}

    async def _answer(self, request):
        body, kind = await request.json(), request.match_info["kind"]
        # Whoever subscribes names the answer in the channel, everybody else in the data.
        asked = body["channel"].partition(":")[2] if kind == "subscribe" else body["data"]["key"]
        usual = '{"result":{"user":"1"}}' if kind == "connect" else '{"result":{}}'
        text = self.texts.get((kind, asked), usual)
        return web.Response(text=text, content_type="application/json")

    @contextlib.asynccontextmanager
    async def running(self):
        """Listen on a free port and give the URL."""
        app = web.Application()
        app.router.add_post("/{kind}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class Client:
    """One client that has one question asked."""

    def __init__(self, url, application, row, value):
        self.url = url.replace("http", "ws", 1) + "/connection/websocket"
        self.kind, self.key, self.client = row["proxy"], str(next(_numbers)), ""
        text = spelt(row["answered"].replace("<v>", value), row)
        application.texts[self.kind, self.key] = text
        self.got = []

    async def answer(self):
        """Return what came, and how the connection ended."""
        async with connect(self.url, compression=None, ping_interval=None) as socket:
            try:
                await (self._connect if self.kind == "connect" else self._other)(socket)
            except ConnectionClosed as closed:
                end = [closed.rcvd.code, closed.rcvd.reason] if closed.rcvd else [1006, ""]
                return {"got": self._told(), "close": end}
        return {"got": self._told()}

    async def _ask(self, socket, number, name, fields):
        await socket.send(json.dumps({"id": number, name: fields}))
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in (await socket.recv()).split("\n"):
                    self.got.append(json.loads(line))
                if any(message.get("id") == number for message in self.got):
                    return

    async def _connect(self, socket):
        await self._ask(socket, 1, "connect", {"data": {"key": self.key}})
        self.client = (self.got[0].get("connect") or {}).get("client", "")
        if self.client:
            await self._ask(socket, 2, "subscribe", {"channel": f"open:x{self.key}"})
            await self._ask(socket, 3, "presence", {"channel": f"open:x{self.key}"})
            await self._ask(socket, 4, "presence", {"channel": "open:1"})
            self.got.append(self.got.pop()["presence"]["presence"].get(self.client))

    async def _other(self, socket):
        await self._ask(socket, 1, "connect", {"data": {"key": "none"}})
        self.client = self.got[0]["connect"]["client"]
        channel = f"px:{self.key}" if self.kind == "subscribe" else f"px:p{self.key}"
        if self.kind == "publish":
            await self._ask(socket, 5, "subscribe", {"channel": channel})
        self.got.clear()
        data = {"key": self.key}
        fields = {
            "subscribe": {"channel": channel},
            "publish": {"channel": channel, "data": data},
            "rpc": {"method": "m", "data": data},
        }
        await self._ask(socket, 6, self.kind, fields[self.kind])
        if self.kind == "subscribe":
            await self._ask(socket, 7, "presence", {"channel": channel})
        await self._ask(socket, 8, "presence_stats", {"channel": "open:none"})
        self.got.pop()

    def _told(self):
        text = json.dumps(_masked(self.got)).replace(f'"key": "{self.key}"', '"key": 0')
        for channel in (f"open:x{self.key}", f"px:{self.key}", f"px:p{self.key}"):
            text = text.replace(channel, "<c>")
        return json.loads(text.replace(self.client, "<client>") if self.client else text)


def _masked(value, name=""):
    if isinstance(value, dict):
        return {
            key: _masked(found, key)
            for key, found in value.items()
            if key != "version" or not isinstance(found, str)
        }
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return f"<{name}>" if name == "ttl" or (name == "epoch" and value) else value


async def answers(url, application, rows):
    """Return what clients were told of each row's answers, by value."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row, value):
        async with gate:
            return value, await Client(url, application, row, value).answer()

    async def all_of(row):
        values = [value for values, *_ in row["answers"] for value in values]
        return dict(await asyncio.gather(*(one(row, value) for value in values)))

    return [await all_of(row) for row in rows]
