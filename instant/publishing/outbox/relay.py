"""
The relay: sends the rows of the outbox to the server, and deletes them.

A row is deleted after the server has taken it, never before. So one that was sent when the relay
died is sent again, with its key, by which the server knows it for five minutes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db import DatabaseError, connections, router
from django.db import Error as DatabaseProblem

from instant import conf
from instant.backends import get_backend
from instant.exceptions import InstantConfigError, PublishError, ServerRefused
from instant.models import OutboxRow
from instant.publishing.outbox import notes, tables
from instant.publishing.outbox.ending_rights import are_enforced
from instant.publishing.outbox.pauses import Pauses
from instant.publishing.outbox.reach import Reach
from instant.publishing.outbox.sending import Result, send
from instant.publishing.outbox.store import Store
from instant.revoking.rounds import Rounds
from instant.tenancy import current as tenancy

__all__ = ["Relay", "databases", "places"]

logger = logging.getLogger("instant.outbox")

_AT_ONCE = 1.0
"""Seconds that one look works; then whoever calls it may have something else to do."""
_PARKED = 3.0
"""Seconds until rows of an unknown namespace are tried again."""
_SOON = 1.0
"""Seconds for which something more is expected after rows were sent."""
_ENDING = 0.02
"""Seconds between two looks whether rights have ended that end before rows are sent."""
_COLLECTED = 10.0
"""Seconds between two looks for kept rows that are old enough."""
_MISSED = 30.0
"""Seconds for which a database is believed to have no table, or to take no writes."""

_TIMES, _LONGEST = 10, 60.0
"""A database that can't be read waits so many times what finding that out took, in seconds."""

_SERVER = "server"
"""What waits when the server can't be reached: all of it."""

_Place = tuple[str, str]
"""A tenant and a database."""


class Relay:
    """
    Sends what is due each time that look() is called.

    ``is_told``: databases in which nothing may be written beside requests are written to all the
    same, since somebody waits for it. ``aliases()`` says which databases there are.
    """

    def __init__(
        self,
        *,
        is_told: bool = False,
        clock: Callable[[], float] = time.monotonic,
        aliases: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self._is_told, self._clock = is_told, clock
        self._aliases = aliases or databases
        self._stores: dict[_Place, Any] = {}
        self._away: dict[_Place, float] = {}
        """Databases without a table, or that take no writes, and when they are looked at again."""
        self._last: dict[_Place, int] = {}
        """The partition after which a look was over."""
        self._parked: dict[str, float] = {}
        """Namespaces that the server doesn't know, and when they are tried again."""
        self._pauses = Pauses(clock)
        self._reach = Reach()
        self._collected = clock()
        self._rounds = Rounds(self._look_here, clock)
        self._deadline = float("inf")
        self._waits_for_rights = False
        self.sent = self.set_aside = 0
        """How many rows, since it was made."""
        self.error: Exception | None = None
        """Why rows could not be sent, since the last look began."""

    def look(self) -> float | None:
        """Send what is due for a second at most; return the seconds until there is more to do."""
        self._deadline = self._clock() + _AT_ONCE
        return self._rounds.look() if tenancy.are_used() else self._look_here()

    def call(self, tenants: Iterable[str]) -> None:
        """Look into these tenants at the next look; PostgreSQL tells numbers of partitions."""
        if tenancy.are_used():
            self._rounds.call(name for name in tenants if not name.isdigit())

    def drain(self) -> None:
        """Send all that is due now, in every tenant; raise what keeps it from being sent."""
        self._deadline = float("inf")
        for tenant in [here] if (here := tenancy.current()) else list(tenancy.every()):
            with tenancy.activate(tenant):
                self._look_here()
                while self._waits_for_rights:
                    time.sleep(_ENDING)
                    self._look_here()
            if self.error is not None:
                raise self.error

    def _look_here(self) -> float | None:
        """Send what is due in the current context; return the seconds until there is more."""
        if self._pauses.left(_SERVER):
            return self._pauses.left(_SERVER)
        self.error, self._waits_for_rights = None, False
        tried = {name for name, until in self._parked.items() if until <= self._clock()}
        sent = self.sent
        try:
            is_done = self._drain_each()
        except (PublishError, InstantConfigError) as exc:
            return self._failed(exc)
        for name in tried:  # no row of them is left
            if self._parked.get(name, float("inf")) <= self._clock():
                del self._parked[name]
        if not is_done:
            return 0.0
        waits = [max(until - self._clock(), 0.0) for until in self._parked.values()]
        if (pause := self._pauses.next()) is not None:
            waits.append(pause)
        if self._waits_for_rights:
            waits.append(_ENDING)
        if self.sent != sent:  # there may soon be more: whoever calls keeps the connection
            waits.append(_SOON)
        return min(waits, default=None)

    def _drain_each(self) -> bool:
        """Send what is due in all databases; tell whether that was all."""
        aliases = list(self._aliases())
        if len(aliases) == 1:
            return self._drain((tenancy.current(), aliases[0]))
        is_done = True
        for alias in aliases:
            place = tenancy.current(), alias
            if self._pauses.left(place):
                continue
            began = self._clock()
            try:
                self._reach.check(alias)
                is_done = self._drain(place) and is_done
            except DatabaseProblem as exc:  # the others may be there
                self._lost(place, exc, self._clock() - began)
            else:
                if self._pauses.succeeded(place):
                    logger.warning("The outbox in the database “%s” can be read again.", alias)
        return is_done

    def _lost(self, place: _Place, exc: DatabaseProblem, took: float) -> None:
        """Let a database wait, for the longer the longer the others have waited for it."""
        self.error = exc
        if self._pauses.failed(place, at_least=min(_TIMES * took, _LONGEST)):
            logger.error("The outbox in the database “%s” can't be read: %s", place[1], exc)
        if not connections[place[1]].in_atomic_block:
            connections[place[1]].close()  # a broken connection would stay broken

    def _drain(self, place: _Place) -> bool:
        """Send what is due in a database; tell whether that was all."""
        if self._clock() < self._away.get(place, float("-inf")):
            return True
        try:
            store = self._store(place)
            if store is None:
                return True
            while True:  # as much of each partition in turn as is read at a time
                has_more = False
                for partition in store.partitions(self._last.get(place, -1)):
                    if self._clock() >= self._deadline:
                        return False
                    has_more = self._drain_partition(place, store, partition) or has_more
                    self._last[place] = partition
                self._last.pop(place, None)
                if not has_more:
                    break
            self._collect(store)
        except DatabaseError as exc:
            # It may take no writes any more; what can't be deleted would be sent again and again.
            self._stores.pop(place, None)
            if not self._is_missing(place, exc):
                raise
        return True

    def _drain_partition(self, place: _Place, store: Any, partition: int) -> bool:
        """Send some of a partition, if nobody else does; tell whether there may be more."""
        if self._pauses.left((place, partition)):
            return False
        with store.holding(partition) as is_held:
            rows = store.due(partition, self._waiting()) if is_held else []
            if not rows:
                return False
            if not are_enforced(store.alias):  # asked after the rows were read, which it is about
                self._waits_for_rights = True
                return False
            settings = conf.current()
            client = get_backend().client()
            if client is None:
                raise InstantConfigError("INSTANT['BACKEND'] reaches no server.")
            result = send(client, rows, settings.timeout, lambda: self._clock() >= self._deadline)
            store.finish(rows, result, settings.outbox_keep)
        self._note(result)
        if isinstance(result.error, ServerRefused):  # it is there, and takes others
            self._paused(place, partition, result.error)
            return False
        if result.error is not None:
            raise result.error
        is_back = self._pauses.succeeded((place, partition))
        if self._pauses.succeeded(_SERVER) or is_back:
            logger.warning("The outbox's rows are sent again.")
        return bool(result.sent or result.refused)

    def _note(self, result: Result) -> None:
        self.sent += len(result.sent)
        self.set_aside += len(result.refused)
        for id_, error in result.refused.items():
            logger.error("Row %d of the outbox is set aside: %s", id_, error)
        for name, message in result.unknown.items():
            if name not in self._parked:
                logger.error(
                    "Publications to the namespace “%s” wait in the outbox: the server's config "
                    "doesn't have it (%s). Run “manage.py syncws --reload”, or delete them in the "
                    "admin if the name is wrong.",
                    name,
                    message,
                )
            self._parked[name] = self._clock() + _PARKED

    def _failed(self, exc: Exception) -> float:
        """Let everything wait: the server can't be reached."""
        self.error = exc
        if self._pauses.failed(_SERVER):
            logger.error("The outbox's rows can't be sent, and wait: %s", exc)
        return self._pauses.left(_SERVER)

    def _paused(self, place: _Place, partition: int, error: ServerRefused) -> None:
        """Let a partition wait: what is in it can't be published for now."""
        self.error = error
        if self._pauses.failed((place, partition)):
            logger.error("Rows of partition %d of the outbox wait: %s", partition, error)

    def _waiting(self) -> set[str]:
        return {name for name, until in self._parked.items() if until > self._clock()}

    def _store(self, place: _Place) -> Any:
        """Return what a database is asked through; None where nothing can be written there."""
        store = self._stores.get(place)
        if store is None:
            if notes.are_used(connections[place[1]]) and not self._is_told:
                store = notes.NotesStore(place[1])
            else:
                store = Store(place[1])
                if not store.takes_writes():
                    self._away[place] = self._clock() + _MISSED
                    return None
            self._stores[place] = store
        return store

    def _collect(self, store: Any) -> None:
        if self._is_told or self._clock() >= self._collected + _COLLECTED:
            self._collected = self._clock()
            store.collect(conf.current().outbox_keep)

    def _is_missing(self, place: _Place, exc: DatabaseError) -> bool:
        """Tell whether it failed because the database has no table (yet)."""
        if connections[place[1]].in_atomic_block:
            return False
        try:
            if tables.are_in(place[1]):
                return False
        except DatabaseError:
            return False
        logger.debug("No outbox in %s: %s", place, exc)
        self._away[place] = self._clock() + _MISSED
        return True


def databases() -> Iterator[str]:
    """Yield the databases that may have the table in the current context."""
    for alias in places():
        if router.allow_migrate_model(alias, OutboxRow):
            yield alias


def places() -> Iterator[str]:
    """Yield all databases, each once: a replica in tests has the same name."""
    seen = set()
    for alias in connections:
        settings = connections[alias].settings_dict
        if settings["ENGINE"] == "django.db.backends.dummy":
            continue
        place = tuple(str(settings.get(part, "")) for part in ("ENGINE", "HOST", "PORT", "NAME"))
        if place not in seen or ":memory:" in place[-1]:
            seen.add(place)
            yield alias
