"""The history file: streams in SQLite, written by one thread of one process.

When `write` returns, the operating system has the commit (`synchronous=NORMAL` in WAL mode): it
survives the end of the process, also by `kill -9`, but not a loss of power.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from instant.embedded.errors import HistoryFileError

# "Inst", in the header that SQLite writes to every history file.
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
    """A stream; times are Unix time, 0 is never. A version is text, since it may have 64 bits."""

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


class KeyRow(NamedTuple):
    """Where the publication with an idempotency key is; in the table `repeat`."""

    channel: str
    key: str
    until: float
    offset: int
    epoch: str


@dataclass(slots=True)
class Batch:
    """What is written in one transaction, in the order of the fields."""

    dropped: list[str] = field(default_factory=list)
    """Channels whose stream is gone."""
    streams: list[StreamRow] = field(default_factory=list)
    publications: list[PublicationRow] = field(default_factory=list)
    lowest: list[tuple[str, int]] = field(default_factory=list)
    """Channels, and the lowest offset of each that is still kept."""
    keys: list[KeyRow] = field(default_factory=list)


class HistoryFile:
    """An open history file; raises HistoryFileError for one that can't be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            # Publications may be private. SQLite gives its other files the mode of this one.
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
            raise HistoryFileError(f"{self.path}: {exc.strerror or exc}") from None
        except sqlite3.Error as exc:
            code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                raise HistoryFileError(
                    f"{self.path}: another process uses this history file"
                ) from None
            raise HistoryFileError(
                f"{self.path}: can't be used as a history file: {exc}. Move it away to start with "
                f"an empty one."
            ) from exc

    def _open(self) -> None:
        database = self._database
        # Held until the process ends, however it ends: two servers would give out equal offsets.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        ((owner,),) = database.execute("PRAGMA application_id")
        ((known,),) = database.execute("PRAGMA user_version")
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and owner != APPLICATION_ID:
            raise HistoryFileError(f"{self.path}: is a database of another program")
        if tables and known != FORMAT:
            raise HistoryFileError(f"{self.path}: was written by another version (format {known})")
        if not tables:
            for statement in _TABLES.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            database.execute(f"PRAGMA user_version={FORMAT}")
        database.execute("COMMIT")
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            found = " ".join(found.split())
            raise HistoryFileError(
                f"{self.path}: is damaged: {found}. Move it away to start with an empty one."
            )
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")

    def load(self, now: float) -> tuple[list[StreamRow], Iterator[PublicationRow], list[KeyRow]]:
        """Delete what has expired and return the rest, publications in order of their offsets."""
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
            keys = [KeyRow(*row) for row in database.execute("SELECT * FROM repeat")]
        return streams, self._publications(), keys

    def _publications(self) -> Iterator[PublicationRow]:
        with self._errors():
            query = "SELECT * FROM publication ORDER BY channel, offset"
            yield from (PublicationRow(*row) for row in self._database.execute(query))

    def write(self, batch: Batch, now: float) -> None:
        """Write a batch in one transaction, or raise HistoryFileError and write nothing."""
        database = self._database
        with self._errors():
            database.execute("BEGIN")
            try:
                dropped = [(channel,) for channel in batch.dropped]
                database.executemany("DELETE FROM stream WHERE channel = ?", dropped)
                database.executemany("DELETE FROM publication WHERE channel = ?", dropped)
                database.executemany(
                    "REPLACE INTO stream VALUES (?, ?, ?, ?, ?, ?, ?)", batch.streams
                )
                database.executemany(
                    "INSERT INTO publication VALUES (?, ?, ?, ?, ?, ?)", batch.publications
                )
                database.executemany(
                    "DELETE FROM publication WHERE channel = ? AND offset < ?", batch.lowest
                )
                if batch.keys:
                    database.execute("DELETE FROM repeat WHERE until <= ?", (now,))
                    database.executemany("REPLACE INTO repeat VALUES (?, ?, ?, ?, ?)", batch.keys)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()
