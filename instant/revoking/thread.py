"""
A thread that makes second passes, in any process that may be the only one left.

Only a token that was handed out in the last ``TOKEN_USE`` seconds can be used against a right
that ended. So a process looks for due passes from the moment it hands out a token, takes a
right away or answers its first request, until no token of its own can be valid and no pass
waits anywhere; ``runws`` looks as long as the server runs. Looking is one query a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from django.core.signals import request_started
from django.db import connections

from instant import conf, enforcement
from instant.exceptions import InstantConfigError
from instant.revoking import ledger

__all__ = ["Worker", "look_once", "wake"]

logger = logging.getLogger("instant.enforcement")

_EVERY = 1.0
"""Seconds between two looks."""

_MARGIN = 3 * ledger.MARGIN.total_seconds()


class Worker:
    """One thread, started when it is needed and gone when it isn't."""

    def __init__(self) -> None:
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
            thread = threading.Thread(target=self._run, name="instant-second-pass", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # at the interpreter's end, or without threads
                logger.debug("No thread for second passes: %s", exc)
            else:
                self._thread = thread

    def stop(self) -> None:
        """Stop looking and wait for a pass that is under way."""
        self._stopped.set()
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            thread.join()

    def look(self) -> bool:
        """Make what is due; return whether anything waits, or nobody knows."""
        try:
            while ledger.run_due() and not self._stopped.is_set():
                continue
            waits = ledger.any_left()
        except Exception as exc:  # noqa: BLE001  a database that is away comes back
            connections.close_all()  # a broken connection would stay broken
            if not self._complained:
                logger.error("The second pass can't be made: %s", exc)  # noqa: TRY400
            self._complained = True
            return True
        self._complained = False
        return waits

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY):
            try:
                waits = self.look()
            finally:
                connections.close_all()  # this thread's own; nobody else closes them
            with self._lock:
                if time.monotonic() >= self._until and not waits:
                    self._thread = None
                    return


_worker = Worker()


def wake() -> None:
    """Look until no token of now can be used; nothing where the settings or the backend say so."""
    try:
        settings = conf.current()
        if settings.enforces_in_background and enforcement.is_on():
            _worker.wake(settings.token_use + _MARGIN)
    except InstantConfigError:
        return


def look_once(**_kwargs: Any) -> None:
    """Look, on the first request: another process may have gone with a pass to make."""
    request_started.disconnect(dispatch_uid="instant.worker")
    try:
        wake()
    except Exception:
        logger.exception("The first look for second passes failed.")  # nobody's page does for it
