"""A thread that calls a function every second, for as long as it is needed."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from django.db import connections

__all__ = ["Worker"]

logger = logging.getLogger("instant.enforcement")

_EVERY = 1.0
"""Seconds between two looks."""


class Worker:
    """
    One thread, started when it is needed and gone when it isn't.

    ``look()`` does what is due and returns whether anything is left. Looking is one query a
    second.
    """

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._begin()
        self._until = 0.0

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._complained = False

    def wake(self, seconds: float) -> None:
        """Look for the next ``seconds`` at least; a fork starts a thread of its own."""
        if self._pid != os.getpid():
            self._begin()  # another thread may have held the lock when we were forked
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)
            if self._thread is not None and self._thread.is_alive():
                return
            self._stopped.clear()
            thread = threading.Thread(target=self._run, name="instant-follow-up", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # at the interpreter's end, or without threads
                logger.debug("No thread for follow-up checks: %s", exc)
            else:
                self._thread = thread

    def stop(self) -> None:
        """Stop looking and wait for a look that is under way."""
        self._stopped.set()
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            thread.join()

    def look(self) -> bool:
        """Look once; return whether anything is left, or nobody knows."""
        try:
            left = self._look()
        except Exception as exc:  # noqa: BLE001  a database that is away comes back
            connections.close_all()  # a broken connection would stay broken
            if not self._complained:
                logger.error("Follow-up checks can't be made: %s", exc)  # noqa: TRY400
            self._complained = True
            return True
        self._complained = False
        return left

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY):
            try:
                left = self.look()
            finally:
                connections.close_all()  # this thread's own; nobody else closes them
            with self._lock:
                if time.monotonic() >= self._until and not left:
                    self._thread = None
                    return
