"""What wakes a worker on another machine: it listens to the message server, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from instant.centrifugo.subscriber import Ended, Subscription, publications

__all__ = ["WakeUpListener"]

logger = logging.getLogger("instant.tickets")

_OFTEN, _SELDOM = 0.5, 10.0
"""Seconds between two questions of a worker that nothing wakes, and of one that listens."""

_SETTLED = 10.0
"""Seconds for which it listens before it relies on that: the site may not know of it yet."""

_AGAIN = 5.0
"""Seconds until the site is asked again how to listen."""


class WakeUpListener:
    """
    Waits for a worker, who is woken where something comes.

    ``ask`` asks the site how to listen, and raises where that isn't possible now. Where the
    message server can't be reached the worker asks twice a second, as without it.
    """

    def __init__(self, ask: Callable[[], Mapping[str, Any]]) -> None:
        self._ask = ask
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._since: float | None = None
        self._told = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="instant-wake-up", daemon=True)

    @property
    def pause(self) -> float:
        """How long a worker waits at most before it asks whether something is there."""
        since = self._since
        settled = since is not None and time.monotonic() >= since + _SETTLED
        return _SELDOM if settled else _OFTEN

    def wait(self, seconds: float | None = None) -> None:
        """Wait until something comes, or so long; else until it is time to ask."""
        with contextlib.suppress(queue.Empty):
            self._wakes.get(timeout=self.pause if seconds is None else seconds)
            while True:
                self._wakes.get_nowait()

    def wake(self) -> None:
        """End the wait; for a signal's handler too, which may come in the middle of wait()."""
        self._wakes.put(None)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no longer; the thread ends by itself."""
        self._stopped.set()
        if (loop := self._loop) is not None:
            with contextlib.suppress(RuntimeError):  # it was closed meanwhile
                loop.call_soon_threadsafe(lambda: [t.cancel() for t in asyncio.all_tasks(loop)])

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                asyncio.run(self._listen(self._ask()))
            except (Ended, asyncio.CancelledError):
                pass
            except Exception as exc:  # noqa: BLE001  the worker works without it
                self._complain(exc)
            finally:
                self._since = self._loop = None
            self._stopped.wait(_AGAIN)

    def _complain(self, exc: Exception) -> None:
        text = str(exc)
        if text != self._told:  # once for each cause
            logger.warning("Nothing wakes this worker, which asks twice a second: %s", text)
        self._told = text

    async def _listen(self, card: Mapping[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        if self._stopped.is_set():
            return
        given = Subscription(card["url"], card["channel"], card["token"], card["channel_token"])
        async for _ in publications(given, self._begun):
            self.wake()

    def _begun(self) -> None:
        """Note that it listens; what came before it did is asked for now."""
        self._since, self._told = time.monotonic(), ""
        self.wake()
