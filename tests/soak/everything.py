"""
Requests publish in transactions while server, relay and web workers are killed again and again.

Our client in Chromium and the official Python SDK listen: what was committed must come once and in
order, and what was rolled back never. On both databases, with the outbox.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

import centrifuge
import requests
from django.contrib.auth.models import AnonymousUser
from playwright.sync_api import sync_playwright

from instant.rights.tokens import Signer
from tests.browser.chromium import launch
from tests.real_server import BINARY
from tests.reliability.world import World, at_random
from tests.soak.failover import ended

LANES = 6
CHANNELS = [f"kept:lane{n}" for n in range(LANES)]
MESSAGES = 2000
PATIENCE = 90


class Official(centrifuge.ClientEventHandler, centrifuge.SubscriptionEventHandler):
    """The official SDK for Python, in an event loop of its own; it knows no message by its id."""

    def __init__(self, url):
        self.got = {name: [] for name in CHANNELS}
        self._ids = set()
        self._live = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = self._run(self._connect(url))

    async def on_publication(self, ctx):
        content = ctx.pub.data
        if content["id"] not in self._ids:
            self._ids.add(content["id"])
            self.got[content["channel"]].append(content["data"]["number"])

    async def on_subscribed(self, ctx):
        self._live.add(ctx.channel)

    async def _connect(self, url):
        async def token(*_context):
            return Signer(AnonymousUser()).connection_token().value

        client = centrifuge.Client(url, events=self, get_token=token)
        for name in CHANNELS:

            async def of_channel(*_context, name=name):
                return Signer(AnonymousUser()).channel_token(name).value

            await client.new_subscription(name, events=self, get_token=of_channel).subscribe()
        await client.connect()
        return client

    @property
    def is_live(self):
        return len(self._live) >= LANES

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def close(self):
        self._run(self._client.disconnect())
        self._run(ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Lane(threading.Thread):
    """Somebody who asks for one message after the other, whatever became of the one before."""

    def __init__(self, world, channel, over):
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{world.web_port}/say/{channel}"
        self._over = over
        self.number = self.failed = 0

    def run(self):
        while not self._over.is_set():
            self.number += 1
            try:
                ok = requests.post(f"{self._url}/{self.number}/", timeout=60).ok
            except requests.RequestException:  # the worker is gone; was it committed?
                ok = False
            self.failed += not ok


def kill(world, victim):
    """Kill -9; gunicorn starts another worker by itself."""
    if victim != "web":
        world.kill(victim)
        at_random()
        world.come_back(victim)
        return
    workers = Path(f"/proc/{world.pid('web')}/task/{world.pid('web')}/children").read_text().split()
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(random.choice(workers)), signal.SIGKILL)


def play(world, browser, kills):
    world.start("web")
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{world.web_port}/?channels={','.join(CHANNELS)}")
    page.wait_for_function("() => instant.status === 'live'", timeout=PATIENCE * 1000)
    official = Official(f"ws://127.0.0.1:{world.port}/connection/websocket")
    wait_for(lambda: official.is_live)
    over = threading.Event()
    lanes = [Lane(world, name, over) for name in CHANNELS]
    for lane in lanes:
        lane.start()
    victims = ["server", "relay", "web"] * kills
    random.shuffle(victims)
    for victim in victims:
        at_random(0.2, 1.0)
        kill(world, victim)
    wait_for(lambda: sum(lane.number for lane in lanes) >= MESSAGES, 10 * PATIENCE)
    over.set()
    for lane in lanes:
        lane.join()
    facts = {name: [number for _, number in found] for name, found in world.facts().items()}
    wait_for(lambda: set_of(official.got) == set_of(facts), fails=False)
    wait_for(lambda: set_of(page.evaluate("got")) == set_of(facts), fails=False)
    got = {"our client": page.evaluate("got"), "the official one": official.got}
    lost, failed = page.evaluate("lost"), sum(lane.failed for lane in lanes)
    official.close()
    page.close()
    return facts, got, lost, failed


def set_of(found):
    return {(name, number) for name, numbers in found.items() for number in numbers}


def wait_for(holds, patience=PATIENCE, *, fails=True):
    until = time.monotonic() + patience
    while not holds():
        if time.monotonic() > until:
            if fails:
                raise AssertionError("It never was so.")
            return
        time.sleep(0.1)


def main(arguments):
    parser = argparse.ArgumentParser(prog="make soak SOAK='everything …'", description=__doc__)
    parser.add_argument("--kills", type=int, default=5, help="of each")
    options = parser.parse_args(arguments)
    worlds = [("embedded", "sqlite", "file"), ("embedded", "postgresql", "file")]
    if BINARY:
        worlds += [("centrifugo", "sqlite", "redis"), ("centrifugo", "postgresql", "redis")]
    wrong = False
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for server, database, engine in worlds:
            with (
                tempfile.TemporaryDirectory() as name,
                World(
                    Path(name), server=server, database=database, backend="outbox", engine=engine
                ) as world,
            ):
                facts, got, told, failed = play(world, browser, options.kills)
            print(
                f"{server}, {database}: {len(set_of(facts)):,} committed, {failed} requests cut off"
            )
            for who, found in got.items():
                lost = len(set_of(facts) - set_of(found))
                never = len(set_of(found) - set_of(facts))
                twice = sum(map(len, found.values())) - len(set_of(found))
                mixed = sum(numbers != sorted(numbers) for numbers in found.values())
                print(
                    f"  {who}: {lost} lost, {twice} twice, {never} never committed, "
                    f"{mixed} channels out of order",
                    flush=True,
                )
                wrong = wrong or any((lost, twice, never, mixed))
            wrong = wrong or told > 0
        browser.close()
    return int(wrong)
