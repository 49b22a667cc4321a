"""
What a relay has done on SQLite, where nothing may be written beside requests.

A write of ours, however short, makes a request fail that has read and is about to write: SQLite
lets it not even wait. One host has such a database, and one relay works on it; so it notes in a
file up to which row it has come, and the next publication, which writes anyway, deletes what was
sent. Where the settings say ``"transaction_mode": "IMMEDIATE"`` requests wait, and no notes are
needed.

Rows are sent in the order of their ids, which on SQLite is the order of their commits. Rows of a
namespace that the server doesn't know yet are left behind; each such namespace has a mark of
its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q

from instant.models import OutboxRow
from instant.publishing.outbox import tables
from instant.publishing.outbox.sending import Result
from instant.revoking.host import folder

__all__ = ["Notes", "NotesStore", "are_used", "is_about", "path_of", "read"]


@dataclass(slots=True)
class Notes:
    """How far a relay has come."""

    upto: int = 0
    """All rows up to here are done with, but for those of parked namespaces."""
    parked: dict[str, int] = field(default_factory=dict)
    """Namespaces that the server didn't know, and up to where their rows are done with."""
    beyond: list[int] = field(default_factory=list)
    """Rows behind these marks that were sent before the server was lost."""
    refused: dict[str, str] = field(default_factory=dict)
    """Of those that are done with: rows that the server will never take, and why."""
    file: int = 0
    """Which file the database is: its inode, as a device may have another number tomorrow."""

    def done(self) -> Q:
        """Return what is true of rows that are done with."""
        found = Q(pk__lte=self.upto)
        if self.parked:
            found &= ~Q(namespace__in=self.parked)
        for namespace, at in self.parked.items():
            found |= Q(namespace=namespace, pk__lte=at)
        return (found | Q(pk__in=self.beyond)) & Q(partition__gte=0)

    def due(self) -> Q:
        """Return what is true of rows that are not; in words by which they are found fast."""
        found = Q(pk__gt=self.upto)
        for namespace, at in self.parked.items():
            found |= Q(namespace=namespace, pk__gt=at)
        return found & ~Q(pk__in=self.beyond) & Q(partition__gte=0)


def are_used(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the database is SQLite's, in a file, and its transactions begin with reading."""
    if connection.vendor != "sqlite":
        return False
    mode = str(connection.settings_dict.get("OPTIONS", {}).get("transaction_mode") or "")
    shared: Any = connection
    return mode.upper() not in {"IMMEDIATE", "EXCLUSIVE"} and not shared.is_in_memory_db()


def path_of(connection: BaseDatabaseWrapper) -> Path:
    """
    Return the file of notes about a database.

    It is beside the database, where SQLite's own files are: who has the one has the other, in
    whatever container, and by whatever link. Where that folder isn't ours it is elsewhere.
    """
    name = str(connection.settings_dict["NAME"])
    return _beside(name) or folder() / f"outbox.{_short(os.path.abspath(name))}.json"  # noqa: PTH100


@lru_cache(maxsize=64)
def _beside(name: str) -> Path | None:
    path = Path(os.path.realpath(name))
    return path.with_name(f"{path.name}-instant") if os.access(path.parent, os.W_OK) else None


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read(connection: BaseDatabaseWrapper, *, will_write: bool = False) -> Notes:
    """
    Return the notes about a database; they are void where it was made anew since.

    Or where it is an older one, from a backup. Who ``will_write`` rows deletes such notes: with
    the numbers of the new rows they would seem to be about them.
    """
    found = _stored(connection)
    if found is not None and found.file == _file(connection) and is_about(found, connection):
        return found
    if found is not None and will_write:
        path_of(connection).unlink(missing_ok=True)
    return Notes(file=_file(connection))


def _stored(connection: BaseDatabaseWrapper) -> Notes | None:
    try:
        return Notes(**json.loads(path_of(connection).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_about(notes: Notes, connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the database has ever had the last row of the notes; ids are not used twice."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = %s",
            [OutboxRow._meta.db_table],  # noqa: SLF001  Django's documented API
        )
        found = cursor.fetchone()
    return notes.upto <= (found[0] if found else 0)


def _file(connection: BaseDatabaseWrapper) -> int:
    try:
        return os.stat(connection.settings_dict["NAME"]).st_ino  # noqa: PTH116  it may be a str
    except OSError:
        return 0


class NotesStore:
    """The table of a database on SQLite; its partitions are one."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._connection = connections[alias]
        self._notes: Notes | None = None

    def partitions(self, after: int = -1) -> Iterator[int]:  # noqa: ARG002  see Store
        """Yield one where there are rows that are due."""
        if self._notes is not None and not self._are_valid(self._notes):
            self._notes = None
        if tables.all_rows(self.alias).filter(self._read().due()).exists():
            yield 0

    def _are_valid(self, notes: Notes) -> bool:
        """Tell whether nobody has deleted them, and the database is still the same."""
        is_there = not notes.upto or path_of(self._connection).exists()
        return is_there and is_about(notes, self._connection)

    def holding(self, partition: int) -> AbstractContextManager[bool]:  # noqa: ARG002  see Store
        """See Store.holding(): who has the host's lock needs no other."""
        return nullcontext(enter_result=True)

    def due(self, partition: int, without: set[str]) -> list[OutboxRow]:  # noqa: ARG002
        """Return the next rows of all partitions, but for those of some namespaces."""
        notes = self._read()
        for namespace in without:
            notes.parked.setdefault(namespace, notes.upto)
        rows = tables.all_rows(self.alias).filter(notes.due())
        return tables.next_rows(rows.exclude(namespace__in=without) if without else rows)

    def finish(self, rows: Sequence[OutboxRow], result: Result, keep: int | None) -> None:  # noqa: ARG002  see settle
        """Note what became of rows that due() returned."""
        notes = self._read()
        for namespace in result.unknown:
            first = next(row.pk for row in rows if row.namespace == namespace)
            notes.parked.setdefault(namespace, min(notes.upto, first - 1))
        done = result.sent | result.refused.keys()
        notes.refused |= {str(id_): error for id_, error in result.refused.items()}
        waiting: set[str] = set()
        stopped = False
        beyond = set(notes.beyond)
        for row in rows:
            if row.pk not in done:
                stopped = stopped or row.namespace not in notes.parked
                waiting.add(row.namespace)
            elif row.namespace in notes.parked and row.namespace not in waiting:
                notes.parked[row.namespace] = row.pk
            elif row.namespace in notes.parked or stopped:
                beyond.add(row.pk)
            if not stopped:
                notes.upto = max(notes.upto, row.pk)
        marks = {row.pk: notes.parked.get(row.namespace, notes.upto) for row in rows}
        notes.beyond = sorted(id_ for id_ in beyond if id_ > marks.get(id_, 0))
        self._tidy(notes)
        self._write(notes)

    def collect(self, keep: int | None) -> None:
        """Leave it to who settles."""

    def _tidy(self, notes: Notes) -> None:
        """Forget marks that say no more than the common one, and rows that were settled."""
        for namespace, at in list(notes.parked.items()):
            rows = tables.all_rows(self.alias).filter(namespace=namespace, partition__gte=0)
            if not rows.filter(pk__gt=at, pk__lte=notes.upto).exists():
                del notes.parked[namespace]
        known = [*notes.beyond, *map(int, notes.refused)]
        if known:
            rows = tables.all_rows(self.alias).filter(pk__in=known, partition__gte=0)
            there = set(rows.values_list("pk", flat=True))
            notes.beyond = [id_ for id_ in notes.beyond if id_ in there]
            notes.refused = {id_: e for id_, e in notes.refused.items() if int(id_) in there}

    def _read(self) -> Notes:
        file = _file(self._connection)
        if self._notes is None or self._notes.file != file:
            self._notes = read(self._connection)
        return self._notes

    def _write(self, notes: Notes) -> None:
        path = path_of(self._connection)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_text(json.dumps(asdict(notes)))
        part.chmod(os.stat(self._connection.settings_dict["NAME"]).st_mode & 0o666)  # noqa: PTH116
        part.replace(path)
