"""Deliveries to many subscribers, memory of idle ones, and the time to start; servers beside each other."""

import asyncio
import base64
import json
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import jwt

from tests.benchmarks import peers
from tests.benchmarks.timing import pin, verdict
from tests.live.servers import LiveServer
from tests.ports import free_port
from tests.real_server import BINARY

SUBSCRIBERS = 500
BURST_SUBSCRIBERS = 100
BURST = 300
IDLE = 2000
MARK = b'"mark":"'
KEYS = {
    "http_api": {"key": "key"},
    "client": {"token": {"hmac_secret_key": "k" * 40}},
    # Without an audience and an origin check, so that the thin clients stay thin.
    "channel": {"namespaces": [{"name": "open", "allow_subscribe_for_client": True}]},
}


def frame(text):
    """One masked text frame; a mask of zeros leaves the text as it is."""
    data = text.encode()
    if len(data) < 126:
        head = struct.pack("!BB", 0x81, 0x80 | len(data))
    else:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
    return head + b"\0\0\0\0" + data


class Thin(asyncio.Protocol):
    """A subscriber that counts marks in what it receives; it decodes nothing."""

    def __init__(self, fleet, path, hello):
        self.fleet, self.path, self.hello = fleet, path, hello
        self.tail = b""
        self.seen = []
        self.open = False

    def connection_made(self, transport):
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data):
        if not self.open:
            self.tail += data
            if b"\r\n\r\n" not in self.tail:
                return
            self.open, self.tail = True, b""
            for text in self.hello:
                self.transport.write(frame(text))
            self.fleet.opened += 1
            self.fleet.changed()
            return
        data = self.tail + data
        count = data.count(MARK)
        if count:
            if self.fleet.keep_order:
                parts = data.split(MARK)[1:]
                self.seen += [part.split(b'"', 1)[0] for part in parts if b'"' in part]
            self.fleet.delivered += count
            self.fleet.changed()
            data = data[data.rfind(MARK) + len(MARK) :]
        self.tail = data[-len(MARK) - 8 :]

    def connection_lost(self, exc):
        self.fleet.lost += 1


class Fleet:
    """Many subscribers in this process."""

    def __init__(self, port, path, hello, *, keep_order=False):
        self.port, self.path, self.hello = port, path, hello
        self.keep_order = keep_order
        self.opened = self.delivered = self.lost = 0
        self.clients = []
        self._event = asyncio.Event()

    def changed(self):
        self._event.set()

    async def until(self, condition, seconds=30):
        async with asyncio.timeout(seconds):
            while not condition():
                self._event.clear()
                await self._event.wait()

    async def open(self, count):
        loop = asyncio.get_running_loop()
        for start in range(0, count, 50):
            made = await asyncio.gather(
                *(
                    loop.create_connection(
                        lambda: Thin(self, self.path, self.hello), "127.0.0.1", self.port
                    )
                    for _ in range(min(50, count - start))
                )
            )
            self.clients += [protocol for _, protocol in made]
            await self.until(lambda: self.opened >= len(self.clients))

    async def close(self):
        for client in self.clients:
            client.transport.abort()
        await asyncio.sleep(0)


def hello(channel="open:1"):
    token = jwt.encode({"sub": "1", "aud": "tests"}, "k" * 40, algorithm="HS256")
    lines = [{"id": 1, "connect": {"token": token}}]
    if channel:
        lines.append({"id": 2, "subscribe": {"channel": channel}})
    return ["\n".join(json.dumps(line) for line in lines)]


def api(port, method, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/{method}",
        json.dumps(body, separators=(",", ":")).encode(),
        {"Content-Type": "application/json", "X-API-Key": "key"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def publish(port, numbers):
    """Publish marks in one batch, in sequence."""
    commands = [
        {"publish": {"channel": "open:1", "data": {"mark": f"{n:06}", "pad": "x" * 30}}}
        for n in numbers
    ]
    return api(port, "batch", {"commands": commands})


async def deliveries(send, fleet, *, window, rounds):
    """Return deliveries a second: ``window`` messages at once, the next when all have them."""
    speeds = []
    number = 0
    for _ in range(rounds):
        wanted = fleet.delivered + window * len(fleet.clients)
        start = time.perf_counter()
        await send(range(number, number + window))
        await fleet.until(lambda: fleet.delivered >= wanted)  # noqa: B023
        speeds.append(window * len(fleet.clients) / (time.perf_counter() - start))
        number += window
    return statistics.median(speeds)


async def wait_subscribed(port, count):
    async with asyncio.timeout(30):
        while True:
            reply = await asyncio.to_thread(api, port, "channels", {"pattern": "open:*"})
            found = reply["result"]["channels"].get("open:1", {}).get("num_clients", 0)
            if found >= count:
                return
            await asyncio.sleep(0.05)


async def of_server(port):
    """Deliveries a second and a burst, for one server."""

    async def send(numbers):
        await asyncio.to_thread(publish, port, numbers)

    path = "/connection/websocket"
    fleet = Fleet(port, path, hello())
    await fleet.open(SUBSCRIBERS)
    await wait_subscribed(port, SUBSCRIBERS)
    await deliveries(send, fleet, window=10, rounds=3)
    speed = await deliveries(send, fleet, window=10, rounds=25)
    await fleet.close()

    fleet = Fleet(port, path, hello("open:1"), keep_order=True)
    await asyncio.sleep(0.2)
    await fleet.open(BURST_SUBSCRIBERS)
    await wait_subscribed(port, BURST_SUBSCRIBERS)
    for start in range(0, BURST, 50):
        await send(range(start, start + 50))
    await fleet.until(lambda: fleet.delivered >= BURST * BURST_SUBSCRIBERS)
    wanted = [f"{n:06}".encode() for n in range(BURST)]
    whole = sum(client.seen == wanted for client in fleet.clients)
    await fleet.close()
    return speed, whole


def rss(pid):
    """Resident memory in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


async def memory(port, pid):
    before = rss(pid)
    fleet = Fleet(port, "/connection/websocket", hello())
    await fleet.open(IDLE)
    await wait_subscribed(port, IDLE)
    after = rss(pid)
    await fleet.close()
    return (after - before) / IDLE


CONSUMER = """
import json, sys
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x", INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [("127.0.0.1", int(sys.argv[1]))], "capacity": 100000}}})
import django; django.setup()
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
class Consumer(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("g", self.channel_name)
        await self.accept()
    async def receive(self, text_data):
        for n in json.loads(text_data)["send"]:
            await self.channel_layer.group_send("g", {"type": "m", "n": n})
    async def m(self, event):
        await self.send(json.dumps({"mark": f"{event['n']:06}", "pad": "x" * 30}, separators=(",", ":")))
application = ProtocolTypeRouter({"websocket": URLRouter([path("ws/", Consumer.as_asgi())])})
import uvicorn
uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", ws_per_message_deflate=False)
"""


async def of_channels():
    """Deliveries a second of Channels with Redis: closed loop, as for the others."""
    redis, redis_port = peers.redis()
    if redis is None:
        return None
    port = free_port()
    server = subprocess.Popen(
        [peers.channels_python(), "-I", "-c", CONSUMER, str(redis_port), str(port)]
    )
    pin(server.pid, 0)
    try:
        fleet = Fleet(port, "/ws/", [])
        async with asyncio.timeout(20):
            while True:
                try:
                    await fleet.open(1)
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        await fleet.open(SUBSCRIBERS - 1)

        async def send(numbers):
            fleet.clients[0].transport.write(frame(json.dumps({"send": list(numbers)})))

        await deliveries(send, fleet, window=1, rounds=3)
        speed = await deliveries(send, fleet, window=10, rounds=6)
        await fleet.close()
    finally:
        server.kill()
        server.wait()
        redis.close()
    return speed


def first_connection(command, port, cwd):
    """Return seconds from starting a server to the first accepted connection."""
    import socket

    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.002)
            else:
                return time.perf_counter() - start
    finally:
        process.kill()
        process.wait()


def starting(live):
    """Compare the start with the import of what it stands on."""
    command = [sys.executable, "-m", "instant.embedded", "--config", str(live.path)]
    starts, imports = [], []
    for _ in range(5):
        starts.append(first_connection(command, live.port, live.folder))
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import aiohttp.web"], check=True)
        imports.append(time.perf_counter() - start)
    ours, theirs = statistics.median(starts), statistics.median(imports)
    print(
        f"  start to first connection {ours * 1000:.0f} ms, import aiohttp.web {theirs * 1000:.0f} ms"
    )
    verdict(f"start ≤ 2.5 × import aiohttp.web ({ours / theirs:.2f})", ours <= 2.5 * theirs)


def run():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 16_384), hard), hard))
    pin(0, 1)
    print(f"\nFan-out to {SUBSCRIBERS} WebSocket subscribers, ~50 bytes, windows of 10 messages")
    speeds = {}
    for kind in ["embedded", *(["centrifugo"] if BINARY else [])]:
        with tempfile.TemporaryDirectory() as folder:
            live = LiveServer(kind, Path(folder), **json.loads(json.dumps(KEYS)))
            live.start()
            pin(live.process.pid, 0)
            try:
                per_connection = asyncio.run(memory(live.port, live.process.pid))
                speed, whole = asyncio.run(of_server(live.port))
            finally:
                live.kill()
            speeds[kind] = speed
            print(
                f"  {kind:<12} {speed:10,.0f} deliveries/s, burst of {BURST}: {whole} of "
                f"{BURST_SUBSCRIBERS} whole and in order, {per_connection:.1f} KiB a connection"
            )
            if kind == "embedded":
                verdict(f"burst whole and in order ({whole})", whole == BURST_SUBSCRIBERS)
                verdict(f"≤ 40 KiB a connection ({per_connection:.1f})", per_connection <= 40)
                starting(live)
    channels = asyncio.run(of_channels())
    if channels is None:
        print("  No redis-server: Channels is left out.")
    else:
        print(f"  Channels     {channels:10,.0f} deliveries/s")
        ratio = speeds["embedded"] / channels
        verdict(f"embedded ≥ 10 × Channels with Redis ({ratio:.1f})", ratio >= 10)
    if BINARY:
        ratio = speeds["embedded"] / speeds["centrifugo"]
        verdict(f"embedded ≥ 0.8 × Centrifugo ({ratio:.2f})", ratio >= 0.8)
    else:
        print("  No centrifugo on PATH or in CENTRIFUGO_BIN: not compared with it.")
