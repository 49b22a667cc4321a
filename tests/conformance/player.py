"""Plays a recorded scenario on a server and returns where the server answers otherwise.

A recording says what came, so the player needs no timing of its own: it waits until as much came as was
recorded (or until PATIENCE is over), then a short while for what should not come.
"""

import asyncio
import gzip
import json
import re
import time
import urllib.parse

import aiohttp
import websockets
from websockets.asyncio.client import connect

from tests.conformance import signing
from tests.conformance.spelling import SECRET, spelt, timed, token, written

PATIENCE = 60.0
QUIET = 0.12
SOON = re.compile(r'"\+[1-3]"')
# More of a second may not have passed where one has just begun.
LATE = 0.3
# A recorded ttl hangs on where in a second the scenario began; on a busy machine much may be over.
TTL_SLACK = 2

_KINDS = ("ws", "api", "stream", "asked", "sleep", "reachable")
_PLACEHOLDER = re.compile(r"<(client|epoch):([^>]+)>")
_MASKED = {
    "session": "<session>",
    "node": "<node>",
    "uid": "<uid>",
    "time": "<time>",
    "uptime": "<time>",
    "interval": "<time>",
    "epoch": "<epoch>",
}


def same(want, got, name=""):
    """Compare what was recorded with what came."""
    if isinstance(want, dict) and isinstance(got, dict):
        return want.keys() == got.keys() and all(same(want[key], got[key], key) for key in want)
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(same(*pair, name) for pair in zip(want, got))  # noqa: B905
    if name == "ttl" and isinstance(want, int) and isinstance(got, int):
        return -max(TTL_SLACK, want // 2) <= got - want <= TTL_SLACK
    return type(want) is type(got) and want == got


class Player:
    """One scenario's clients."""

    def __init__(self, url, backend):
        self.url = url
        self.backend = backend
        self.http = aiohttp.ClientSession()
        self.sockets = {}
        self.streams = {}
        self.clients = {}
        self.epochs = {}
        self.connected = {}

    async def play(self, steps):
        """Return the differences: (step's number, what was recorded, what came)."""
        differences = []
        try:
            for number, step in enumerate(steps):
                kind = next(name for name in _KINDS if name in step)
                await self._early_in_a_second(kind, steps[number:])
                got = await getattr(self, f"_{kind}")(step)
                if not same(step, got):
                    differences.append((number, step, got))
                    break
        finally:
            await self._leave()
        return differences

    async def _leave(self):
        for response in self.streams.values():
            response.close()
        await asyncio.gather(*(socket.close() for socket in self.sockets.values()))
        await self.http.close()

    # -- names that differ from run to run --------------------------------------------------------

    def _live(self, value):
        """Put tokens, epochs and client ids where the recording names them."""
        if isinstance(value, dict):
            if "$key" in value:
                key = value["$key"]
                return signing.signed(
                    timed(value["$token"]), key, value["$alg"], value.get("$kid", key)
                )
            if "$jwt" in value:
                return written(value["$jwt"])
            if "$token" in value:
                return token(
                    value["$token"], value.get("$secret", SECRET), value.get("$alg", "HS256")
                )
            return {name: self._live(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self._live(item) for item in value]
        if isinstance(value, str):
            return _PLACEHOLDER.sub(self._named, value)
        return value

    def _named(self, match):
        kind, name = match.groups()
        if kind == "epoch":
            return self.epochs[name]
        return next(client for client, known in self.clients.items() if known == name)

    def _recorded(self, value, name=""):
        """Replace what differs from run to run by the names the recording has for it."""
        if isinstance(value, dict):
            return {
                self._recorded(key): self._recorded(member, key) for key, member in value.items()
            }
        if isinstance(value, list):
            return [self._recorded(item, name) for item in value]
        if value and name in _MASKED:
            return _MASKED[name]
        if name == "version" and isinstance(value, str):
            return "<version>"
        if isinstance(value, str) and value in self.clients:
            return f"<client:{self.clients[value]}>"
        return value

    def _learn(self, name, message, channel=None):
        reply = message.get("connect") or message.get("push", {}).get("connect") or {}
        if "client" in reply:
            self.clients[reply["client"]] = name
            self.connected[name] = reply
        for known, result in (reply.get("subs") or {}).items():
            self.epochs[known] = result.get("epoch", "")
        result = message.get("subscribe") or {}
        if channel and "epoch" in result:
            self.epochs[channel] = result["epoch"]

    # -- WebSocket --------------------------------------------------------------------------------

    async def _ws(self, step):
        name = step["ws"]
        if "open" in step:
            return await self._open(step)
        socket = self.sockets[name]
        if "drop" in step:
            socket.transport.abort()
            return step
        if "recv" in step:
            return await self._receive(socket, step)
        if "raw" in step:
            frame = spelt(self._live(step["raw"]), step)
        else:
            frame = "\n".join(json.dumps(self._live(command)) for command in step["send"])
        await socket.send(frame)
        return step

    @staticmethod
    async def _early_in_a_second(kind, steps):
        """
        Wait, where a token ends soon: its times are whole seconds, and one may be nearly over.

        Not between opening a connection and its first frame, for which the server does not wait long.
        """
        step = steps[0]
        if kind == "ws" and "open" in step:
            step = next((one for one in steps[1:] if one.get("ws") == step["ws"]), step)
        if SOON.search(json.dumps(step.get("send", ""))) and time.time() % 1 > LATE:
            await asyncio.sleep(-time.time() % 1 + 0.01)

    async def _open(self, step):
        path = spelt(step.get("path", "/connection/websocket"), step)
        url = self.url.replace("http", "ws", 1) + path
        headers = {name: spelt(value, step) for name, value in step.get("headers", {}).items()}
        try:
            self.sockets[step["ws"]] = await connect(
                url,
                compression=None,
                origin=step.get("origin"),
                additional_headers=headers,
                max_size=None,
                ping_interval=None,
            )
        except websockets.InvalidStatus as refused:
            return {**step, "refused": refused.response.status_code}
        return {name: value for name, value in step.items() if name != "refused"}

    async def _receive(self, socket, step):
        got, close = [], None
        clock = asyncio.get_running_loop().time
        begin = clock()
        whole = begin + step.get("within", 0) if "all" in step else begin
        while True:
            done = len(got) >= len(step["recv"]) and ("close" not in step or close)
            until = max(whole, clock() + QUIET) if done else max(whole, begin + PATIENCE)
            try:
                frame = await asyncio.wait_for(socket.recv(), max(0, until - clock()))
            except TimeoutError:
                break
            except websockets.ConnectionClosed as closed:
                close = [closed.rcvd.code, closed.rcvd.reason] if closed.rcvd else [1006, ""]
                break
            for line in filter(None, frame.split("\n")):
                message = json.loads(line)
                if message == {} and step.get("pong", True):
                    await socket.send("{}")
                self._learn(step["ws"], message, step.get("channel"))
                if message != {} or "pings" in step:
                    got.append(message)
        out = {name: value for name, value in step.items() if name != "close"}
        # What is long is recorded by its length.
        sizes = [len(json.dumps(message)) for message in got]
        out["recv"] = sizes if "sizes" in step else self._recorded(got)
        return {**out, "close": close} if close else out

    # -- HTTP -------------------------------------------------------------------------------------

    async def _api(self, step):
        headers = {"Content-Type": "application/json", **step.get("headers", {"X-API-Key": "key"})}
        text = spelt(step.get("raw_body", ""), step)
        if "raw_body" not in step:
            text = json.dumps(self._live(step.get("body", {})))
        body = gzip.compress(text.encode()) if "gzip" in step else text.encode()
        url = self.url + step["api"]
        async with self.http.post(url, data=body, headers=headers) as response:
            text = await response.text()
        try:
            reply = json.loads(text)
        except ValueError:
            reply = "" if response.status >= 400 else text
        result = reply.get("result") if isinstance(reply, dict) else None
        if isinstance(result, dict) and result.get("epoch") and "body" in step:
            asked = step["body"].get("params", step["body"])
            self.epochs[asked["channel"]] = result["epoch"]
        return {**step, "status": response.status, "reply": self._recorded(reply)}

    async def _stream(self, step):
        if "open" in step:
            return await self._open_stream(step)
        if "recv" in step:
            return await self._read_stream(step)
        known = self.connected.get(step["stream"], {})
        commands = "\n".join(json.dumps(self._live(command)) for command in step["send"])
        body = {
            "session": known.get("session", "nope"),
            "node": known.get("node", "nope"),
            "data": commands,
        }
        async with self.http.post(self.url + "/emulation", json=body) as response:
            return {**step, "status": response.status}

    async def _open_stream(self, step):
        url = f"{self.url}/connection/{step['open']}"
        first = json.dumps(self._live(step["command"]))
        if step["open"].endswith("http_stream"):
            # With aiohttp's own content type the server would speak its binary protocol.
            kind = {"Content-Type": "application/json"}
            response = await self.http.post(url, data=first.encode(), headers=kind)
        else:
            response = await self.http.get(url + "?cf_connect=" + urllib.parse.quote(first))
        self.streams[step["stream"]] = response
        return {**step, "status": response.status, "content_type": response.content_type}

    async def _read_stream(self, step):
        got = []
        clock = asyncio.get_running_loop().time
        begin = clock()
        content = self.streams[step["stream"]].content
        while "<end>" not in got:
            done = len(got) >= len(step["recv"])
            limit = QUIET if done else max(0, begin + PATIENCE - clock())
            try:
                line = (await asyncio.wait_for(content.readline(), limit)).decode()
            except TimeoutError:
                break
            if not line:
                got.append("<end>")
            text = line.strip().removeprefix("data: ")
            message = json.loads(text) if text else {}
            if message:
                self._learn(step["stream"], message)
                got.append(self._recorded(message))
        return {**step, "recv": got}

    async def _asked(self, step):
        asked, self.backend.asked = self.backend.asked, []
        return {**step, "asked": self._recorded(asked)}

    async def _sleep(self, step):
        await asyncio.sleep(step["sleep"])
        return step

    async def _reachable(self, step):
        """Tell whether the server still listens; one that is about to end gets the time for it."""
        address = urllib.parse.urlsplit(self.url)
        clock = asyncio.get_running_loop().time
        until = clock() + PATIENCE
        while True:
            try:
                _, writer = await asyncio.open_connection(address.hostname, address.port)
            except OSError:
                return {**step, "reachable": False}
            writer.close()
            if step["reachable"] or clock() > until:
                return {**step, "reachable": True}
            await asyncio.sleep(0.02)
