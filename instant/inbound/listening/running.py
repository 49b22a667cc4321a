"""
The functions that apps have declared with ``@on_message``, run over one connection.

At least once: a position is noted when all before it were handled, so that a process that dies
leaves at most a second's messages to be handled again. While a function takes its time the process
stays the one that listens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from instant.channels.names import LISTENERS_CHANNEL
from instant.exceptions import PublishError
from instant.inbound.listening import mirror
from instant.inbound.listening.message import Message
from instant.inbound.listening.progress import LEASE, Positions, Progress
from instant.inbound.listening.stream import Stream
from instant.inbound.registry import Handler, handlers
from instant.tenancy import current as tenancy

__all__ = ["Runner", "channels"]

logger = logging.getLogger("instant.listening")

_EACH = 1.0
"""Seconds between two notes of how far it has come."""

_ATTEMPTS = 5
"""How often a function gets a message with which it fails, before that is passed over."""

_PAUSE = 1.0
"""Seconds before a second attempt, and twice that before the third; and before another look."""


def channels() -> list[str]:
    """Return the channels that the declared functions need."""
    listening = handlers("message")
    named = [handler.name for handler in listening if not mirror.is_pattern(handler)]
    return named + ([LISTENERS_CHANNEL] if len(named) < len(listening) else [])


class Runner:
    """Receives messages for the declared functions, while it is the one that does."""

    def __init__(self, progress: Progress, told: Callable[[str], None]) -> None:
        self._progress = progress
        self._told = told
        self._said = ""
        self._end = asyncio.Event()
        self._done: Positions = {}
        self._saved = time.monotonic()
        self._noting = ThreadPoolExecutor(1, thread_name_prefix="instant-listener")
        self.handled = 0

    def end(self) -> None:
        """Let run() return as soon as the message that is being handled is."""
        self._end.set()

    async def run(self) -> None:
        """Listen until the end; a server or database that is away is tried again, and told of."""
        try:
            while not self._end.is_set():
                try:
                    await self._listen()
                except (PublishError, DatabaseError, InterfaceError) as exc:
                    self._complain(str(exc))
                    await self._pause(_PAUSE)
        finally:
            await self._note(connections.close_all)
            self._noting.shutdown()

    async def _listen(self) -> None:
        found = await self._note(self._progress.claim)
        if found is None:
            await self._pause(_PAUSE)
            return
        self._done, self._saved = dict(found), time.monotonic()
        stream = Stream(channels(), found, tenant="")
        try:
            await stream.open()
            for name, position in stream.positions.items():
                self._done.setdefault(name, position)
            self._told(f"Listening to {', '.join(channels())}.")
            self._said = ""
            await self._read(stream)
        finally:
            await stream.close()
            await self._save()
            with suppress(DatabaseError, InterfaceError):  # then the lease ends by itself
                await self._note(self._progress.release)

    async def _read(self, stream: Stream) -> None:
        following: asyncio.Task[Message] | None = None
        ended = asyncio.ensure_future(self._end.wait())
        lost = asyncio.ensure_future(self._keep())
        try:
            while not self._end.is_set() and not lost.done():
                following = following or asyncio.ensure_future(anext(stream))
                await asyncio.wait({following, ended, lost}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    message, following = following.result(), None
                    await self._handle(message)
            if lost.done():
                lost.result()
                self._told(f"Another process listens: nothing was heard for {LEASE:.0f} s.")
        finally:
            for task in (ended, lost, following):
                if task is not None:
                    task.cancel()

    async def _keep(self) -> None:
        """Note how far it has come, however long a function takes; return when it is another's."""
        while True:
            await asyncio.sleep(_EACH)
            if not await self._save():
                return

    async def _handle(self, received: Message) -> None:
        for message in self._unpacked(received):
            for handler in handlers("message"):
                if handler.matches(message.channel) and not await self._call(handler, message):
                    return
        if received.offset is not None:
            self._done[received.channel] = (received.offset, received.epoch)
        self.handled += 1

    def _unpacked(self, received: Message) -> Iterator[Message]:
        if received.channel != LISTENERS_CHANNEL:
            yield received
            return
        yield from mirror.read(
            received.payload,
            offset=received.offset,
            epoch=received.epoch,
            after_gap=received.after_gap,
        )

    async def _call(self, handler: Handler, message: Message) -> bool:
        """Call a function until it has worked; False where the end came before."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await _run(handler, message)
            except Exception:
                logger.exception(
                    "%s failed with a message of %s (%d of %d).",
                    handler.place,
                    message.channel,
                    attempt,
                    _ATTEMPTS,
                )
                if attempt < _ATTEMPTS and await self._pause(_PAUSE * 2 ** (attempt - 1)):
                    return False
            else:
                break
        return True

    async def _save(self) -> bool:
        """Note how far it has come; False where another process may listen."""
        try:
            ours: bool = await self._note(self._progress.save, dict(self._done))
        except (DatabaseError, InterfaceError, OSError) as exc:
            self._complain(f"How far it has come can't be noted: {exc}")
            return time.monotonic() - self._saved < LEASE
        self._saved = time.monotonic()
        return ours

    async def _note(self, function: Callable[..., Any], *given: Any) -> Any:
        """Call it in a thread of its own: a function that listens may hold the others."""
        return await asyncio.get_running_loop().run_in_executor(
            self._noting, _closing, function, *given
        )

    def _complain(self, text: str) -> None:
        if text != self._said:
            self._told(text)
        self._said = text

    async def _pause(self, seconds: float) -> bool:
        """Wait; tell whether the end came."""
        try:
            await asyncio.wait_for(self._end.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _closing(function: Callable[..., Any], *given: Any) -> Any:
    """Call it, and connect anew the next time where a database has failed."""
    try:
        return function(*given)
    except (DatabaseError, InterfaceError):
        connections.close_all()
        raise


async def _run(handler: Handler, message: Message) -> None:
    if handler.is_async:
        await handler.function(message)
    else:
        await sync_to_async(_in_thread)(handler.function, message)


def _in_thread(function: Callable[[Message], Any], message: Message) -> None:
    close_old_connections()
    try:
        with tenancy.activate(message.tenant):
            function(message)
    finally:
        close_old_connections()
