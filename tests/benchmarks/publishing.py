"""What one publish costs, beside a bare POST, cent and the peers."""

import asyncio
import http.client
import json
import sys
from uuid import uuid4

import aiohttp
from cent import Client as CentClient
from cent import PublishRequest
from django.test import override_settings

from instant import apublish, broadcast, publish
from instant.centrifugo.api.publish_requests import requests_for
from instant.publishing.publication import Envelope
from tests.benchmarks import peers
from tests.benchmarks.timing import Process, amedian_of, median_of, pin, rounds, table, verdict

CENTRIFUGO = "instant.backends.centrifugo.CentrifugoBackend"
HEADERS = {"Content-Type": "application/json", "X-API-Key": "key"}
TEXT = "x" * 20
KEY = b"0" * 32
BODY = json.dumps(
    {
        "channel": "public",
        "data": {"channel": "public", "site": "Tests", "message": TEXT, "id": KEY.decode()},
        "idempotency_key": KEY.decode(),
    },
    separators=(",", ":"),
).encode()
NAMES = [f"c{n}" for n in range(1000)]
MANY = json.dumps(
    {
        "channels": NAMES,
        "data": {"site": "Tests", "message": TEXT, "id": KEY.decode()},
        "idempotency_key": KEY.decode(),
    },
    separators=(",", ":"),
).encode()


def fresh(body):
    """Return the body with a key of its own: a server publishes a repeated one only once."""
    return body.replace(KEY, uuid4().hex.encode())


class Bare:
    """A kept-alive http.client POST of the same bytes; its answer is read and not looked at."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def post(self, path="/api/publish", body=BODY):
        self.connection.request("POST", path, fresh(body), HEADERS)
        return self.connection.getresponse().read()


def run(port, *, key, with_peers, title, count=400, times=9):
    """Measure against one server; ``key`` is its API key."""
    HEADERS["X-API-Key"] = key
    pin(0, 1)
    with override_settings(
        CENTRIFUGO_HOST="http://127.0.0.1",
        CENTRIFUGO_PORT=port,
        CENTRIFUGO_API_KEY=key,
        INSTANT={"DIR": "/nonexistent", "BACKEND": CENTRIFUGO, "TIMEOUT": 10},
    ):
        sync(port, key, with_peers, title, count, times)
        many(port, title, times)
        if not with_peers:
            large(port, title)
        asyncio.run(async_(port, title, count, times))


def sync(port, key, with_peers, title, count, times):
    bare = Bare(port)
    cent = CentClient(f"http://127.0.0.1:{port}/api", key)
    request = PublishRequest(channel="public", data=json.loads(BODY)["data"])
    measures = {
        "http.client, bare POST": lambda: median_of(bare.post, count),
        "publish()": lambda: median_of(lambda: publish("public", TEXT), count),
        "cent, one client": lambda: median_of(lambda: cent.publish(request), count // 2),
    }
    started = []
    if with_peers:
        old = peers.old(port)
        redis, channels = peers.channels()
        started = [p for p in (old, channels, redis) if p]
        measures["django-instant 4.2.0"] = lambda: float(old.ask(str(count // 4)))
        if channels:
            measures["Channels group_send, async_to_sync"] = lambda: float(
                channels.ask(str(count // 4))
            )
        else:
            print("No redis-server: Channels is left out.")
    try:
        rows = rounds(measures, count=times)
    finally:
        for process in started:
            process.close()
        cent.close()
    table(f"One publish, ~60 bytes of payload, {title}", rows, "http.client, bare POST")
    ours = rows["publish()"]
    if with_peers:
        verdict(
            f"publish() ≤ 1.1 × a bare POST ({ours / rows['http.client, bare POST']:.2f})",
            ours <= 1.1 * rows["http.client, bare POST"],
        )
        verdict(
            f"publish() ≥ 3.5 × as fast as cent ({rows['cent, one client'] / ours:.2f})",
            rows["cent, one client"] >= 3.5 * ours,
        )


def many(port, title, times):
    bare = Bare(port)
    rows = rounds(
        {
            "http.client, bare POST": lambda: median_of(
                lambda: bare.post("/api/broadcast", MANY), 40
            ),
            "broadcast()": lambda: median_of(lambda: broadcast(NAMES, TEXT), 40),
        },
        count=times,
    )
    table(f"One message to 1,000 channels, {title}", rows, "http.client, bare POST")
    ratio = rows["broadcast()"] / rows["http.client, bare POST"]
    verdict(f"broadcast() ≤ 2 × one POST of the same bytes ({ratio:.2f})", ratio <= 2)


def large(port, title, times=11):
    """
    A large audience on a server that does the work; the bytes are those that broadcast() sends.

    One of each in turn: Centrifugo cleans its memory up for hundreds of milliseconds at a time.
    """
    bare = Bare(port)
    for count in (10_000, 100_000):
        names = [f"user:{n}" for n in range(count)]
        payload = {"site": "Tests", "message": TEXT, "id": KEY.decode()}
        body = json.dumps(payload, separators=(",", ":")).encode()
        parts = [part for _, part, _ in requests_for([Envelope(names, (), body, KEY.decode())])]

        def post(parts=parts):
            key = uuid4().hex.encode()
            for part in parts:
                bare.connection.request("POST", "/api/broadcast", part.replace(KEY, key), HEADERS)
                bare.connection.getresponse().read()

        rows = rounds(
            {
                "http.client, bare POST": lambda post=post: median_of(post, 1),
                "broadcast()": lambda names=names: median_of(lambda: broadcast(names, TEXT), 1),
            },
            count=times,
        )
        table(f"One message to {count:,} channels, {title}", rows, "http.client, bare POST")
        ratio = rows["broadcast()"] / rows["http.client, bare POST"]
        verdict(f"broadcast() ≤ 1.1 × a bare POST of the same bytes ({ratio:.2f})", ratio <= 1.1)


async def async_(port, title, count, times):
    url = f"http://127.0.0.1:{port}/api/publish"
    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def bare():
            async with session.post(url, data=fresh(BODY)) as response:
                await response.read()

        found = {"aiohttp, bare POST": [], "apublish()": []}
        calls = {"aiohttp, bare POST": bare, "apublish()": lambda: apublish("public", TEXT)}
        for call in calls.values():
            await amedian_of(call, count)
        for _ in range(times):
            for name, call in calls.items():
                found[name].append(await amedian_of(call, count))
    rows = {name: sorted(values)[len(values) // 2] for name, values in found.items()}
    table(f"One publish inside an event loop, {title}", rows, "aiohttp, bare POST")
    ratio = rows["apublish()"] / rows["aiohttp, bare POST"]
    verdict(f"apublish() ≤ 1.1 × a bare aiohttp POST ({ratio:.2f})", ratio <= 1.1)


def canned():
    """Start the responder in a process of its own."""
    return Process(sys.executable, "-m", "tests.benchmarks.responder", core=0)
