"""The application behind the recorded proxies: what it does hangs on the last word of a name."""

import asyncio
import base64
import contextlib
import json
import time

from aiohttp import web

from tests.conformance.signing import SETS, served

ANSWERS = {
    "deny": {"error": {"code": 403, "message": "no"}},
    "later": {"error": {"code": 450, "message": "later", "temporary": True}},
    "empty": {},
    "null": {"result": None},
    "kick": {"disconnect": {"code": 4501, "reason": "bye"}},
    "subs": {"result": {"user": "9", "subs": {"order:1": {}}}},
    "nullsubs": {"result": {"user": "9", "subs": {"order:1": None}}},
    "channels": {"result": {"user": "9", "channels": ["order:1"]}},
}
STATUSES = {"boom": 500, "forbidden": 403}
# Much longer than the recorded configs' timeout of a second; nobody waits for it.
SLOW = 20


def _granted(kind):
    return {
        "connect": {"user": "9", "info": {"n": 1}, "data": {"hi": 1}},
        "refresh": {"expire_at": int(time.time()) + 60},
        "subscribe": {"info": {"role": "r"}, "data": {"title": "t"}},
        "sub_refresh": {"expired": True},
        "publish": {"data": {"rewritten": True}},
        "rpc": {"data": {"sum": 3}},
    }[kind]


def _binary(answer):
    """Write data and info in base64, as an application with binary_encoding may."""
    result = answer.get("result") or {}
    coded = {
        "b64" + name: base64.b64encode(json.dumps(result[name]).encode()).decode()
        for name in ("data", "info")
        if name in result
    }
    plain = {name: value for name, value in result.items() if name not in {"data", "info"}}
    return {**answer, "result": {**plain, **coded}} if result else answer


class Backend:
    """Answers proxies, publishes keys and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self._served = 0

    async def _keys(self, request):
        self._served += 1
        name = request.match_info["name"]
        self.asked.append({"keys": name})
        if name == "slow" or (name == "hangs" and self._served == 1):
            await asyncio.sleep(SLOW)
        if name == "gone" or (name == "flaky" and self._served == 1):
            return web.Response(status=500)
        if name == "rotating":
            name = "one" if self._served == 1 else "all"
        if name == "moved":
            raise web.HTTPFound("/keys/all")
        return web.Response(text=served(name if name in SETS else "all"))

    async def _answer(self, request):
        kind, body = request.match_info["kind"], await request.json()
        self.asked.append(
            {
                "proxy": kind,
                "secret": request.headers.get("X-Proxy-Secret"),
                "cookie": request.headers.get("Cookie"),
                "body": {name: value for name, value in body.items() if name != "client"},
            }
        )
        named = (
            body.get("channel") or body.get("method") or (body.get("data") or {}).get("as") or ""
        )
        word = named.rpartition(":")[2]
        if word == "slow":
            await asyncio.sleep(SLOW)
        if word in STATUSES:
            return web.Response(status=STATUSES[word])
        answer = ANSWERS.get(word, {"result": _granted(kind)})
        coded = body["encoding"] == "binary" and word != "plain"
        return web.json_response(_binary(answer) if coded else answer)

    @contextlib.asynccontextmanager
    async def running(self):
        """Listen on a free port and give the URL."""
        app = web.Application()
        app.router.add_post("/{kind}", self._answer)
        app.router.add_get("/keys/{name}", self._keys)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
