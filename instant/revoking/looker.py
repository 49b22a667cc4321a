"""The one thread of a host that looks for what is due."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connections

from instant import conf
from instant.centrifugo.listening import listens
from instant.exceptions import InstantConfigError
from instant.revoking.host import LOOKER, Bell, HostLock, readable, ring

__all__ = ["CHANNEL", "Looker", "Work"]

_logger = logging.getLogger("instant.enforcement")

CHANNEL = "instant"
"""What PostgreSQL is told, and tells all who listen, when there is something to do at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a looker is for: what it is called, how it is woken, and what it says."""

    name: str = LOOKER
    """Of its lock, its bell and its thread."""
    channel: str = CHANNEL
    """What it listens to on PostgreSQL."""
    every: float | None = None
    """Seconds between two looks at most, where nothing wakes it."""
    is_shared: bool = False
    """Whether several of a host may do it at a time."""
    logger: logging.Logger = _logger
    problem: str = "Follow-up checks can't be made: %s"


_EVERY = 5.0
"""Seconds between two looks at most: rows of a process that died say nothing."""

_PATIENCE = 10.0
"""Seconds that the first look waits for the server that starts beside it."""
_STARTING = 0.05
"""Seconds between two looks whether that server is there."""

_TAKEN_OVER = 2.0
"""Seconds between two tries to become the one that looks."""

_UNHEARD = 1.0
"""Seconds between two looks at most, where nobody can be heard."""

_IDLE = 60.0
"""After so many seconds without anything to do no connection to the database is kept."""


class Looker:
    """
    A thread that is started when there may be anything to do, and ends when there isn't.

    ``look()`` does what is due and returns the seconds until something will be, None if
    nothing is known of. ``needed()`` tells whether there can be anything; ``alias()`` names the
    database; ``called()`` is told for which tenants somebody rang. Of all processes of a host
    one looks, the others' threads wait for its end.
    """

    def __init__(
        self,
        look: Callable[[], float | None],
        needed: Callable[[], bool],
        alias: Callable[[], str],
        called: Callable[[Iterable[str]], None] = lambda _tenants: None,
        work: Work = Work(),
    ) -> None:
        self._look, self._needed, self._alias, self._called = look, needed, alias, called
        self._work = work
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._starting = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._complained = False
        self._always = False
        self._starts_beside_server = False
        self._listens: Any = None
        self._busy = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """Tell whether this process's thread looks, or waits for its turn."""
        thread = self._thread
        return self._pid == os.getpid() and thread is not None and thread.is_alive()

    def start(self, *, always: bool = False, with_server: bool = False) -> None:
        """
        Look from now on, ``always`` or for as long as it is needed; a fork starts anew.

        ``with_server``: the message server starts at the same time, so wait for it first, in
        order not to complain of it.
        """
        if self._pid != os.getpid():
            self._begin()  # another thread may have held the lock when we were forked
        self._always = self._always or always
        self._starts_beside_server = self._starts_beside_server or with_server
        if self.is_alive:
            return
        with self._starting:
            if self.is_alive:
                return
            self._stopped.clear()
            name = f"instant-{self._work.name}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # at the interpreter's end, or without threads
                self._work.logger.debug("No thread: %s", exc)
            else:
                self._thread = thread

    def stop(self) -> None:
        """Stop looking and wait for a look that is under way."""
        self._stopped.set()
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            ring(name=self._work.name)
            thread.join()

    def end(self) -> None:
        """Let it stop after the look that is under way; for a signal's handler."""
        self._stopped.set()
        ring(name=self._work.name)

    def run(self) -> None:
        """Look until stop(), in this thread; for commands."""
        self._always = True
        self._run()

    def _run(self) -> None:
        apps.ready_event.wait()  # it may be AppConfig.ready() that starts us
        lock = HostLock(self._work.name)
        try:
            while not self._stopped.is_set() and self._is_needed():
                if self._work.is_shared or lock.acquire():
                    self._hold()
                    return
                self._close()
                self._stopped.wait(_TAKEN_OVER)
        except OSError as exc:
            self._work.logger.error(self._work.problem, exc)  # noqa: TRY400
        finally:
            lock.release()
            self._close()

    def _hold(self) -> None:
        """Look, and wait, for as long as there can be anything."""
        bell = Bell(self._work.name)
        every = self._work.every or _EVERY
        try:
            if self._starts_beside_server:
                self._starts_beside_server = False
                self._await_server()
            while not self._stopped.is_set():
                known = self.look()
                if known is None and not self._is_needed():
                    return
                pause = every if known is None else min(max(known, 0.0), every)
                self._wait(pause, bell)
        finally:
            bell.close()

    def _await_server(self) -> None:
        """Wait until the server listens, for as long as a start takes at most."""
        until = time.monotonic() + _PATIENCE
        with suppress(InstantConfigError):  # the first look tells
            while time.monotonic() < until and not listens(conf.current().api_url):
                if self._stopped.wait(_STARTING):
                    return

    def look(self) -> float | None:
        """Look once; a database that is away comes back."""
        try:
            found = self._look()
        except Exception as exc:  # noqa: BLE001  whatever it is, it must be tried again
            self._close()  # a broken connection would stay broken
            if not self._complained:
                self._work.logger.error(self._work.problem, exc)  # noqa: TRY400
            self._complained = True
            return 1.0
        self._complained = False
        if found is not None:
            self._busy = time.monotonic()
        return found

    def _is_needed(self) -> bool:
        try:
            return self._always or self._needed()
        except Exception as exc:  # noqa: BLE001  a database that is away comes back
            self._work.logger.debug("Nobody knows whether there is anything to look for: %s", exc)
            self._close()
            return True

    def _wait(self, seconds: float, bell: Bell) -> None:
        """Wait until somebody calls, or for so long."""
        listened = self._listen()
        if listened is None and time.monotonic() - self._busy > _IDLE:
            self._close()
        sources = [source for source in (bell.socket, listened) if source is not None]
        if not sources:
            self._stopped.wait(seconds)
            return
        try:
            ready = readable(sources, seconds)
        except (OSError, ValueError):  # the database's end is seen at the next look
            self._stopped.wait(min(seconds, _UNHEARD))
            return
        if bell.socket in ready:
            self._called(bell.clear())
        if listened is not None and listened in ready:
            self._called(_take_notifications(listened))

    def _listen(self) -> Any:
        """Return PostgreSQL's connection, listening; None where there is none to listen on."""
        wrapper = connections[self._alias()]
        if wrapper.vendor != "postgresql" or wrapper.connection is None:
            return None
        if self._listens is not wrapper.connection:
            try:
                with wrapper.cursor() as cursor:
                    cursor.execute(f"LISTEN {self._work.channel}")
            except Exception as exc:  # noqa: BLE001  it looks every few seconds all the same
                self._work.logger.debug("PostgreSQL can't be listened to: %s", exc)
                return None
            self._listens = wrapper.connection
        return self._listens

    def _close(self) -> None:
        self._listens = None
        connections.close_all()  # this thread's own; nobody else closes them


def _take_notifications(connection: Any) -> set[str]:
    """Take out what has come, of psycopg 3 or 2; return for which tenants it was."""
    found: set[str] = set()
    with suppress(Exception):
        if hasattr(connection, "pgconn"):
            connection.pgconn.consume_input()
            while (notified := connection.pgconn.notifies()) is not None:
                found.add(notified.extra.decode())
        else:
            connection.poll()
            found = {notified.payload for notified in connection.notifies}
            connection.notifies.clear()
    return found
