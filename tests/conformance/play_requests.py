"""Asks a server's HTTP API in every shape, and returns what it answered."""

import itertools
import json

import aiohttp
from websockets.asyncio.client import connect

from tests.conformance.spelling import spelt, token

# What differs from run to run; a version that isn't text is a publication's.
_MASKED = ("epoch", "uid", "session", "node")
_numbers = itertools.count()


def _masked(value, name=""):
    if isinstance(value, dict):
        return {key: _masked(found, key) for key, found in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return f"<{name}>" if name in _MASKED and value else value


async def _answer(http, url, row, value):
    channel = f"open:{next(_numbers)}"
    body = spelt(row["body"].replace("<v>", value).replace("<c>", channel), row)
    headers = {"X-API-Key": "key", "Content-Type": "application/json"}
    async with http.post(url + row["path"], data=body.encode(), headers=headers) as response:
        text = await response.text()
    try:
        reply = _masked(json.loads(text))
    except ValueError:
        reply = "" if response.status >= 400 else text
    reply = json.loads(json.dumps(reply).replace(channel, "<c>"))
    return {"status": response.status, "reply": reply}


async def answers(url, rows):
    """Return the answers to each row's requests, by value, while user 1 is connected."""
    found = []
    where = url.replace("http", "ws", 1) + "/connection/websocket"
    async with aiohttp.ClientSession() as http, connect(where, ping_interval=None) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": token({"sub": "1"})}}))
        await socket.recv()
        for row in rows:
            values = [value for values, *_ in row["answers"] for value in values]
            found.append({value: await _answer(http, url, row, value) for value in values})
    return found
