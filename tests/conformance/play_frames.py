"""Sends a server frames of every shape, and returns what it answered."""

import asyncio
import itertools
import json

from websockets import ConnectionClosed
from websockets.asyncio.client import connect

from tests.conformance.spelling import spelt, token

PATIENCE = 10.0
AT_ONCE = 16

# The last command of each exchange: its answer says that everything before it was dealt with.
_LAST = 4294967295
# Numbers of the commands that lead up to the odd one; their answers are no news.
_BEFORE = (1, 2, 3, 4)
# The real server ends some connections beside the next command, not before it.
_LATE = 0.15
_numbers = itertools.count()


class Exchange:
    """One connection that sends one odd frame."""

    def __init__(self, url, row, value):
        self.url, self.row, self.value = url, row, value
        self.channel = f"open:{next(_numbers)}"

    async def answer(self):
        """Return the replies and pushes that came, and how the connection ended."""
        url = self.url.replace("http", "ws", 1) + "/connection/websocket"
        got = []
        async with connect(url, compression=None, max_size=None, ping_interval=None) as socket:
            try:
                for frame in self._frames():
                    await socket.send(frame)
                await self._read(socket, got)
                if "late" in self.row:
                    await asyncio.wait_for(socket.recv(), _LATE)
            except TimeoutError:
                pass
            except ConnectionClosed as closed:
                return {"got": self._news(got), "close": [closed.rcvd.code, closed.rcvd.reason]}
            return {"got": self._news(got)}

    def _frames(self):
        for text in self.row["sent"]:
            frame = text.replace("<v>", self.value).replace("<c>", self.channel)
            for name, claims in (("connection", {}), ("subscription", {"channel": self.channel})):
                signed = token({"sub": "1", "exp": "+600", **claims})
                frame = frame.replace(f"<{name}>", signed)
            yield spelt(frame, self.row)
        yield json.dumps({"id": _LAST, "rpc": {"method": "last"}})

    @staticmethod
    async def _read(socket, got):
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in (await socket.recv()).split("\n"):
                    reply = json.loads(line)
                    if reply.get("id") == _LAST:
                        return
                    got.append(reply)

    def _news(self, got):
        clients = [(reply.get("connect") or {}).get("client") for reply in got]
        kept = [_masked(reply) for reply in got if reply.get("id") not in _BEFORE]
        text = json.dumps(kept).replace(self.channel, "<c>")
        for client in filter(None, clients):
            text = text.replace(client, "<client>")
        return json.loads(text)


def _masked(value, name=""):
    if isinstance(value, dict):
        return {key: _masked(found, key) for key, found in value.items() if key != "version"}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return f"<{name}>" if name in {"epoch", "ttl"} and value else value


async def answers(url, rows):
    """Return the answers to each row's frames, by value."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row, value):
        async with gate:
            return value, await Exchange(url, row, value).answer()

    async def all_of(row):
        values = [value for values, *_ in row["answers"] for value in values]
        return dict(await asyncio.gather(*(one(row, value) for value in values)))

    return await asyncio.gather(*map(all_of, rows))
