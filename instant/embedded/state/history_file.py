"""The history file: streams in SQLite, written by one thread of one process.

A commit is in the operating system's hands when `write` returns (`synchronous=NORMAL` in WAL): it
survives the death of the process, `kill -9` included, not the loss of power.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from instant.embedded.errors import StoreError

# "Inst", in SQLite's header of every file that is ours.
APPLICATION_ID = 0x496E7374
FORMAT = 1

_TABLES = """
CREATE TABLE stream (
    channel TEXT PRIMARY KEY, epoch TEXT NOT NULL, top INTEGER NOT NULL,
    version TEXT NOT NULL, version_epoch TEXT NOT NULL,
    expires REAL NOT NULL, meta_expires REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE publication (
    channel TEXT NOT NULL, offset INTEGER NOT NULL, data TEXT NOT NULL, info TEXT NOT NULL,
    tags TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (channel, offset)
) WITHOUT ROWID;
CREATE TABLE repeat (
    channel TEXT NOT NULL, key TEXT NOT NULL, until REAL NOT NULL,
    offset INTEGER NOT NULL, epoch TEXT NOT NULL, PRIMARY KEY (channel, key)
) WITHOUT ROWID;
"""


class StreamRow(NamedTuple):
    """A stream; times are Unix time, 0 is never. Versions are texts: they may have 64 bits."""

    channel: str
    epoch: str
    top: int
    version: str
    version_epoch: str
    expires: float
    meta_expires: float


class PublicationRow(NamedTuple):
    """A publication of a stream."""

    channel: str
    offset: int
    data: str
    info: str
    tags: str
    version: str


class RepeatRow(NamedTuple):
    """What a publish with an idempotency key was answered."""

    channel: str
    key: str
    until: float
    offset: int
    epoch: str


@dataclass(slots=True)
class Batch:
    """What is written in one transaction, in the order of the fields."""

    gone: list[str] = field(default_factory=list)
    streams: list[StreamRow] = field(default_factory=list)
    publications: list[PublicationRow] = field(default_factory=list)
    floors: list[tuple[str, int]] = field(default_factory=list)
    """Channels, and the lowest offset of theirs that is still kept."""
    repeats: list[RepeatRow] = field(default_factory=list)


class Store:
    """An open history file; raises StoreError for one that can't be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            # Publications may be private; SQLite's other files get the mode of this one.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(
                path, timeout=0.5, isolation_level=None, check_same_thread=False
            )
        try:
            with self._errors():
                self._open()
        except BaseException:
            self._database.close()
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StoreError(f"{self.path}: {exc.strerror or exc}") from None
        except sqlite3.Error as exc:
            code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                raise StoreError(f"{self.path}: another process uses this history file") from None
            raise StoreError(
                f"{self.path}: can't be used as a history file: {exc}. Move it away to begin with "
                f"an empty one."
            ) from exc

    def _open(self) -> None:
        database = self._database
        # Held until the process ends, however it ends: two servers would give out the same offsets.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        ((owner,),) = database.execute("PRAGMA application_id")
        ((known,),) = database.execute("PRAGMA user_version")
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and owner != APPLICATION_ID:
            raise StoreError(f"{self.path}: is a database of another program")
        if tables and known != FORMAT:
            raise StoreError(f"{self.path}: was written by another version (format {known})")
        if not tables:
            for statement in _TABLES.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            database.execute(f"PRAGMA user_version={FORMAT}")
        database.execute("COMMIT")
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            found = " ".join(found.split())
            raise StoreError(f"{self.path}: is damaged: {found}. Move it away to begin anew.")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")

    def load(self, now: float) -> tuple[list[StreamRow], Iterator[PublicationRow], list[RepeatRow]]:
        """Forget what has expired and return the rest: publications in their order."""
        database = self._database
        with self._errors():
            database.execute("BEGIN")
            database.execute(
                "DELETE FROM stream WHERE meta_expires > 0 AND meta_expires <= ?", (now,)
            )
            database.execute(
                "DELETE FROM publication WHERE channel NOT IN "
                "(SELECT channel FROM stream WHERE expires = 0 OR expires > ?)",
                (now,),
            )
            database.execute("DELETE FROM repeat WHERE until <= ?", (now,))
            database.execute("COMMIT")
            streams = [StreamRow(*row) for row in database.execute("SELECT * FROM stream")]
            repeats = [RepeatRow(*row) for row in database.execute("SELECT * FROM repeat")]
        return streams, self._publications(), repeats

    def _publications(self) -> Iterator[PublicationRow]:
        with self._errors():
            query = "SELECT * FROM publication ORDER BY channel, offset"
            yield from (PublicationRow(*row) for row in self._database.execute(query))

    def write(self, batch: Batch, now: float) -> None:
        """Write a batch in one transaction, or nothing of it, and raise StoreError."""
        database = self._database
        with self._errors():
            database.execute("BEGIN")
            try:
                gone = [(channel,) for channel in batch.gone]
                database.executemany("DELETE FROM stream WHERE channel = ?", gone)
                database.executemany("DELETE FROM publication WHERE channel = ?", gone)
                database.executemany(
                    "REPLACE INTO stream VALUES (?, ?, ?, ?, ?, ?, ?)", batch.streams
                )
                database.executemany(
                    "INSERT INTO publication VALUES (?, ?, ?, ?, ?, ?)", batch.publications
                )
                database.executemany(
                    "DELETE FROM publication WHERE channel = ? AND offset < ?", batch.floors
                )
                if batch.repeats:
                    database.execute("DELETE FROM repeat WHERE until <= ?", (now,))
                    database.executemany(
                        "REPLACE INTO repeat VALUES (?, ?, ?, ?, ?)", batch.repeats
                    )
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Give the file back; what is written stays."""
        self._database.close()
