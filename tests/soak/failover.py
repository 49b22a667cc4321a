"""
Two nodes behind nginx, of which one after the other is killed while messages are published.

Each client must have every message once and in order; told is how long it takes to be back.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import centrifuge
from django.contrib.auth.models import User
from django.test import override_settings

from instant import publish
from instant.exceptions import PublishError
from instant.rights.tokens import Signer
from tests.live.nodes import ENGINES, pair
from tests.live.servers import use
from tests.real_server import ABSENT, BINARY

CONFIG = {
    "channel": {
        "without_namespace": {
            "presence": True,
            "history_size": 2000,
            "history_ttl": "300s",
            "force_recovery": True,
        }
    }
}
CHANNEL = "public"
PATIENCE = 60


class Listener(centrifuge.ClientEventHandler, centrifuge.SubscriptionEventHandler):
    """One client: what it heard, when it was subscribed, and whether it was told of a loss."""

    def __init__(self):
        self.numbers, self.back, self.losses = [], [], 0
        self.is_live = False

    async def on_subscribed(self, ctx):
        self.is_live = True
        self.back.append(time.monotonic())
        self.losses += ctx.was_recovering and not ctx.recovered

    async def on_subscribing(self, ctx):
        self.is_live = False

    async def on_publication(self, ctx):
        self.numbers.append(ctx.pub.data["data"])


class Audience:
    """Clients of the official Python SDK, in an event loop of their own."""

    def __init__(self, url, count):
        self._url = url
        self.listeners = [Listener() for _ in range(count)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        # The rights are another test's matter: the tokens are for a channel, whoever asks.
        signer = Signer(User(pk=7))
        token = signer.connection_token().value
        channel = signer.channel_token(CHANNEL).value
        self._clients = [self._run(self._connect(one, token, channel)) for one in self.listeners]
        wait_for(lambda: all(one.is_live for one in self.listeners), "the first subscriptions")
        return self

    def __exit__(self, *_exc):
        for client in self._clients:
            self._run(client.disconnect())
        self._run(ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connect(self, listener, token, channel):
        client = centrifuge.Client(self._url, events=listener, token=token)
        subscription = client.new_subscription(CHANNEL, events=listener, token=channel)
        await subscription.subscribe()
        await client.connect()
        return client

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)


async def ended():
    """Wait for what the SDK still has in the background."""
    while rest := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(rest, timeout=PATIENCE)


def wait_for(condition, what):
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.005)


def send(number):
    """Publish until it is said to be sent; a request that is repeated is published once."""
    key, until = uuid.uuid4().hex, time.monotonic() + PATIENCE
    while True:
        try:
            publish(CHANNEL, data=number, idempotency_key=key, on_commit=False)
        except PublishError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


class Publisher(threading.Thread):
    """Publishes numbers, one after the other, until it is told to stop."""

    def __init__(self, pause):
        super().__init__(daemon=True)
        self._pause, self._stop_now = pause, threading.Event()
        self.sent, self.error = 0, None

    def run(self):
        try:
            while not self._stop_now.wait(self._pause):
                send(self.sent)
                self.sent += 1
        except BaseException as exc:
            self.error = exc

    def stop(self):
        self._stop_now.set()
        self.join()
        if self.error is not None:
            raise self.error


def failover(nodes, *, kills, clients, pause):
    """Kill one node after the other; return what was sent, what was heard, and the times."""
    times = []
    with (
        use(nodes.a, ENGINE=nodes.engine, TIMEOUT=2, TOKEN_USE=3600),
        override_settings(CENTRIFUGO_HOST="http://127.0.0.1", CENTRIFUGO_PORT=nodes.api_port),
        Audience(nodes.url, clients) as audience,
    ):
        publisher = Publisher(pause)
        publisher.start()
        for number in range(kills):
            node = nodes.nodes[number % 2]
            before = [len(one.back) for one in audience.listeners]
            killed = time.monotonic()
            node.kill()
            begin = publisher.sent
            wait_for(lambda begin=begin: publisher.sent > begin + 50, "publications")
            wait_for(lambda: all(one.is_live for one in audience.listeners), "all to be back")
            for one, count in zip(audience.listeners, before, strict=True):
                times += [one.back[count] - killed] if len(one.back) > count else []
            node.start()
            # nginx tries it again a second later.
            begin = publisher.sent
            wait_for(lambda begin=begin: publisher.sent > begin + 1.5 / pause, "publications")
        publisher.stop()
        last = publisher.sent - 1
        with contextlib.suppress(AssertionError):
            wait_for(
                lambda: all(last in one.numbers[-1:] for one in audience.listeners), "the last"
            )
        return publisher.sent, audience.listeners, times


def report(kind, kills, sent, listeners, times):
    """Print a line; return whether all is as promised."""
    lost = sum(len(set(range(sent)) - set(one.numbers)) for one in listeners)
    doubled = sum(len(one.numbers) - len(set(one.numbers)) for one in listeners)
    unordered = sum(one.numbers != sorted(one.numbers) for one in listeners)
    told = sum(one.losses for one in listeners)
    median = statistics.median(times) if times else 0.0
    slowest = max(times, default=0.0)
    print(
        f"{kind}: {kills} kills, {sent} messages to {len(listeners)} clients: {lost} lost, "
        f"{doubled} doubled, {unordered} out of order, {told} told of a loss; "
        f"{len(times)} times back, median {median:.2f} s, slowest {slowest:.2f} s"
    )
    return not (lost or doubled or unordered or told) and bool(times) and median <= 1


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.soak failover")
    parser.add_argument("--kills", type=int, default=20, help="how often a node is killed (20)")
    parser.add_argument("--clients", type=int, default=20, help="how many clients (20)")
    parser.add_argument("--engines", nargs="*", default=ENGINES, choices=ENGINES)
    options = parser.parse_args(arguments)
    if BINARY is None:
        print(ABSENT, file=sys.stderr)
        return 1
    good = True
    for kind in options.engines:
        with (
            tempfile.TemporaryDirectory(dir="/tmp") as folder,
            pair(Path(folder), kind, CONFIG) as nodes,
        ):
            found = failover(nodes, kills=options.kills, clients=options.clients, pause=0.01)
        good &= report(kind, options.kills, *found)
    return 0 if good else 1
