"""How far a listener has come, whatever happens while a message is handled. Without a server."""

import asyncio
import threading

import pytest
from django.db import OperationalError

from instant import on_message
from instant.inbound.listening import running
from instant.inbound.listening.message import Message
from instant.inbound.listening.running import Runner

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]

PATIENCE = 20


class Stream:
    """Hands out so many messages of a channel, and then none."""

    COUNT = 1

    def __init__(self, channels, positions, *, tenant):
        [self.channel] = channels
        self.positions = {self.channel: positions.get(self.channel, (0, "e"))}

    async def open(self):
        pass

    async def close(self):
        pass

    async def __anext__(self):
        offset = self.positions[self.channel][0] + 1
        if offset > self.COUNT:
            await asyncio.Event().wait()
        self.positions[self.channel] = (offset, "e")
        return Message(channel=self.channel, payload={"data": offset}, offset=offset, epoch="e")


class Progress:
    """In memory; each note is told."""

    def __init__(self):
        self.positions, self.is_ours, self.saves = {}, True, 0
        self.saved = threading.Condition()
        self.failing = 0
        self.released = 0

    def claim(self):
        if self.failing:
            self.failing -= 1
            raise OperationalError("away")
        return dict(self.positions) if self.is_ours else None

    def save(self, positions):
        with self.saved:
            self.saves += 1
            self.saved.notify_all()
            if self.failing:
                self.failing -= 1
                raise OperationalError("away")
            if self.is_ours:
                self.positions = dict(positions)
            return self.is_ours

    def release(self):
        self.released += 1

    def wait_for_saves(self, count):
        with self.saved:
            until = self.saves + count
            assert self.saved.wait_for(lambda: self.saves >= until, PATIENCE)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(running, "Stream", Stream)
    monkeypatch.setattr(running, "_EACH", 0.001)
    monkeypatch.setattr(running, "_PAUSE", 0.001)


@pytest.fixture
def progress():
    return Progress()


async def run(progress, until):
    told = []
    runner = Runner(progress, told.append)
    task = asyncio.ensure_future(runner.run())
    until = asyncio.ensure_future(until(runner))
    await asyncio.wait({task, until}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    assert until.done()
    until.result()
    runner.end()
    await asyncio.wait_for(task, PATIENCE)
    return told


async def test_a_function_that_takes_long_loses_no_lease(progress):
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    @on_message("news")
    def slow(message):
        progress.wait_for_saves(3)
        loop.call_soon_threadsafe(done.set)

    await run(progress, lambda _: done.wait())
    assert progress.positions == {"news": (1, "e")}


async def test_of_an_async_function_neither(progress):
    done = asyncio.Event()

    @on_message("news")
    async def slow(message):
        await asyncio.to_thread(progress.wait_for_saves, 3)
        done.set()

    await run(progress, lambda _: done.wait())


async def test_what_fails_when_the_end_comes_is_not_passed_over(progress, monkeypatch):
    monkeypatch.setattr(running, "_PAUSE", 1000)
    failed = asyncio.Event()

    @on_message("news")
    async def failing(message):
        failed.set()
        raise ValueError("not yet")

    await run(progress, lambda _: failed.wait())
    assert progress.positions.get("news", (0, "e"))[0] == 0


async def test_a_database_that_is_away_ends_nothing(progress, caplog):
    done = asyncio.Event()
    progress.failing = 3

    @on_message("news")
    async def handle(message):
        progress.failing = 3
        await asyncio.to_thread(progress.wait_for_saves, 5)
        done.set()

    told = await run(progress, lambda _: done.wait())
    assert [text for text in told if "away" in text]
    assert progress.positions == {"news": (1, "e")}


async def test_who_has_lost_the_lease_notes_nothing_and_begins_anew(progress):
    done = asyncio.Event()
    seen = []

    @on_message("news")
    async def handle(message):
        seen.append(message.offset)
        if len(seen) == 1:
            progress.is_ours = False
            await asyncio.to_thread(progress.wait_for_saves, 1)
        else:
            done.set()

    async def until(_runner):
        while not progress.released:
            await asyncio.sleep(0)
        progress.is_ours = True
        await done.wait()

    told = await run(progress, until)
    assert seen == [1, 1]
    assert any("Another process listens" in text for text in told)
