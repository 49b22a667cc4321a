"""
The thread beside a job: it renews the lease, sends progress, and notices a cancellation.

A thread, with a connection to the database of its own: progress waits neither for the job's
transaction nor holds up the event loop of a job that is async, and the lease is renewed while the
job computes.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from django.db import DatabaseError, InterfaceError, connections

from instant.inbound.answers import Cancelled
from instant.inbound.tickets import contents, rows, seen, telling
from instant.inbound.tickets.model import Ticket
from instant.tenancy import current as tenancy

__all__ = ["BETWEEN", "Heart"]

logger = logging.getLogger("instant.tickets")

BETWEEN = 0.2
"""Seconds between two messages about progress at least; the last one is what is sent."""

_LOOK = 2.0
"""Seconds between two looks at whether it was cancelled."""

_PATIENCE = 1000
"""Milliseconds for which it waits on SQLite while the job has the database's lock."""


class _Threads:
    """Threads beside jobs, kept for the next ones: to start one takes as long as a query."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Begin anew, as a process that was forked has to: none of the threads came along."""
        self._executor: ThreadPoolExecutor | None = None

    def run(self, work: Callable[[], None]) -> None:
        """Run it in a thread of its own; as many as there are jobs of this process at a time."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(_MOST, thread_name_prefix="instant-ticket")
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._forget)
        self._executor.submit(work)


_MOST = 10_000

_threads = _Threads()


class Heart:
    """
    What a job that runs tells, and is told; in a block around the job.

    ``seconds`` is the lease.
    """

    def __init__(self, ticket: Ticket, seconds: float) -> None:
        self.ticket = ticket
        self._lease = seconds
        self._renewed = time.monotonic()
        self._pending: dict[str, str] = {}
        self._is_new = True
        self._lock = threading.Lock()
        self._called, self._stopped = threading.Event(), threading.Event()
        self._over = False
        self._has_begun, self._ended = False, threading.Event()

    def tell(self, done: Any, message: str) -> None:
        """Have the caller told how far it is, soon; raises as check() does."""
        found = contents.progress(done, message)
        with self._lock:
            self._pending = found
        self._called.set()
        self.check()

    def check(self) -> None:
        """Raise Cancelled where nobody waits for the job any more, or somebody else has it."""
        if self._over:
            raise Cancelled

    @property
    def last(self) -> dict[str, str]:
        """What was told and isn't written yet."""
        with self._lock:
            pending, self._pending = self._pending, {}
        return pending

    def __enter__(self) -> Self:
        _threads.run(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._called.set()
        with self._lock:
            self._stopped.set()
            is_needless = not self._has_begun
        if not is_needless:
            self._ended.wait()

    def _begins(self) -> bool:
        """Tell whether there is anything to do yet; whoever leaves the block waits for it then."""
        if self.ticket.is_request and self._called.wait(BETWEEN):
            # Most are answered before anybody asks how far they are, and need no connection.
            self._called.clear()
        with self._lock:
            self._has_begun = not self._stopped.is_set()
        return self._has_begun

    def _run(self) -> None:
        if not self._begins():
            return
        try:
            with tenancy.activate(self.ticket.tenant):
                alias = rows.database()
                if connections[alias].vendor == "sqlite":
                    with connections[alias].cursor() as cursor:
                        cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
                while not self._stopped.is_set() and not self._over:
                    self.step()
                    self._stopped.wait(BETWEEN)
                    self._called.wait(min(_LOOK, self._lease / 4))
                    self._called.clear()
        except Exception:
            logger.exception("Nobody renews the lease of ticket %s.", self.ticket.pk)
        finally:
            connections.close_all()  # this thread's own
            self._ended.set()

    def step(self) -> None:
        """Look whether it is still ours, send what was told since, renew the lease in time."""
        ticket = self.ticket
        try:
            if not rows.is_ours(ticket):
                self._over = True
                return
            changes = self.last
            for name, value in changes.items():
                setattr(ticket, name, value)
            if ticket.is_request:
                seen.note(ticket.queue)
            if changes or self._is_new:
                telling.tell(ticket)
            self._is_new = False
            if changes or time.monotonic() >= self._renewed + self._lease / 4:
                rows.beat(ticket, **changes)
                self._renewed = time.monotonic()
        except (DatabaseError, InterfaceError) as exc:
            # The job holds SQLite's lock, or the database restarts: soon again.
            logger.debug("Ticket %s: %s", ticket.pk, exc)
            self._close_broken()

    @staticmethod
    def _close_broken() -> None:
        connection = connections[rows.database()]
        if connection.vendor != "sqlite":
            connection.close()
