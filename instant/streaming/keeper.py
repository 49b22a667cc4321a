"""
The thread beside all streams that this process writes.

It renews their leases, also while a model thinks or a job computes, and tells pages that somebody
still writes; notices that nobody wants to read on; and writes down what was gathered and isn't
followed by anything.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Protocol

from django.db import DatabaseError, InterfaceError, connections

from instant.exceptions import PublishError
from instant.publishing.batch import batch

__all__ = ["keeper"]

logger = logging.getLogger("instant.streams")

_LEAST, _MOST = 0.01, 60.0
"""Seconds between two looks."""
_AGAIN = 1.0
"""Seconds after which it tries again what the database has refused."""


class Kept(Protocol):
    """What it looks after."""

    def due(self) -> float:
        """Return when there is something to do."""

    def keep(self) -> None:
        """Do it."""

    def is_silent(self) -> bool:
        """Tell whether pages have heard nothing for so long that they need a sign of life."""

    def sign(self) -> None:
        """Publish one."""


class Keeper:
    """Looks after what is watched, in a thread that is there while anything is."""

    def __init__(self) -> None:
        self._begin_anew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        """Forget what a process that was forked doesn't write, and a thread that it hasn't got."""
        self._lock, self._bell = threading.Lock(), threading.Event()
        self._watched: dict[Kept, float] = {}
        self._thread: threading.Thread | None = None

    def watch(self, one: Kept) -> None:
        """Look after one until it is forgotten."""
        with self._lock:
            self._watched[one] = 0.0
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="instant-streams", daemon=True
                )
                self._thread.start()
        self._bell.set()

    def forget(self, one: Kept) -> None:
        """Leave one alone."""
        with self._lock:
            was_there = self._watched.pop(one, None) is not None
        if was_there:
            self._bell.set()

    def ring(self) -> None:
        """Look soon when what is watched has something to do: that has changed."""
        self._bell.set()

    def _run(self) -> None:
        bell = self._bell
        try:
            while True:
                with self._lock:
                    watched = dict(self._watched)
                    if not watched:
                        self._thread = None
                        return
                now = time.monotonic()
                for one, until in watched.items():
                    if max(one.due(), until) <= now:
                        self._keep(one)
                _sign([one for one in watched if one.is_silent()])
                due = (max(one.due(), self._watched.get(one, 0.0)) for one in watched)
                # Not at once: what is written just now by somebody else is still due.
                bell.wait(min(max(_LEAST, min(due) - time.monotonic()), _MOST))
                bell.clear()
        finally:
            connections.close_all()  # this thread's own

    def _keep(self, one: Kept) -> None:
        try:
            one.keep()
        except (DatabaseError, InterfaceError) as exc:
            logger.debug("A stream can't be looked after: %s", exc)
            for connection in connections.all(initialized_only=True):
                connection.close_if_unusable_or_obsolete()
        except Exception:
            logger.exception("A stream can't be looked after.")
        else:
            return
        with self._lock:
            if one in self._watched:
                self._watched[one] = time.monotonic() + _AGAIN


def _sign(silent: list[Kept]) -> None:
    """Give the signs of life of all in one request: a hundred would hold up the leases."""
    if not silent:
        return
    try:
        with batch():
            for one in silent:
                one.sign()
    except PublishError as exc:
        logger.debug("Signs of life were not published: %s", exc)
    except Exception:
        logger.exception("Signs of life were not published.")


keeper = Keeper()
