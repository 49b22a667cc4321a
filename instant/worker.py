"""
A thread that makes second passes, in any process that may be the only one left.

Only a token that was handed out in the last ``TOKEN_USE`` seconds can be used against a right
that ended. So a process that hands out tokens, or that takes rights away, looks for due passes
until no token of its own can be valid; ``runws`` looks as long as the server runs. Looking is
one query a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from django.db import connections

from instant import conf, enforcement, revocations
from instant.exceptions import InstantConfigError

__all__ = ["Worker", "wake"]

logger = logging.getLogger("instant.enforcement")

_EVERY = 1.0
"""Seconds between two looks."""

_MARGIN = 3 * revocations.MARGIN.total_seconds()


class Worker:
    """One thread, started when it is needed and gone when it isn't."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._stopped = threading.Event()
        self._complained = False

    def wake(self, seconds: float) -> None:
        """Look for the next ``seconds``, in this process; a fork starts a thread of its own."""
        if self._pid not in {0, os.getpid()}:
            self._lock = threading.Lock()  # another thread may have held it when we were forked
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)
            if self._thread is not None and self._pid == os.getpid() and self._thread.is_alive():
                return
            self._stopped.clear()
            self._pid = os.getpid()
            self._thread = threading.Thread(
                target=self._run, name="instant-second-pass", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop looking and wait for a pass that is under way."""
        self._stopped.set()
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY):
            self._look()
            with self._lock:
                if time.monotonic() >= self._until:
                    self._thread = None
                    return

    def _look(self) -> None:
        try:
            revocations.run_due()
        except Exception as exc:  # noqa: BLE001  a database that is away comes back
            if not self._complained:
                logger.error("The second pass can't be made: %s", exc)  # noqa: TRY400
            self._complained = True
        else:
            self._complained = False
        finally:
            connections.close_all()  # this thread's own; nobody else closes them


_worker = Worker()


def wake() -> None:
    """Look until no token of now can be used; nothing where the settings or the backend say so."""
    try:
        settings = conf.current()
        if settings.enforces_in_background and enforcement.is_on():
            _worker.wake(settings.token_use + _MARGIN)
    except InstantConfigError:
        return
