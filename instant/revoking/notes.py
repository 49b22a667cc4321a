"""
What was done about rows on SQLite, where nothing may be written in the background.

A write of ours, however short, makes a request fail that has read and is about to write: SQLite
lets it not even wait. One host has such a database, and one process of it looks; so it needs no
claim, and notes in a file what it has done. The next request that writes a row of its own takes
away those that are finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connections

from instant.models import Revocation
from instant.revoking import ledger
from instant.revoking.affected import Affected
from instant.revoking.host import folder
from instant.tenancy import current as tenancy

__all__ = ["Notes", "are_used", "delete_finished"]

_AT_ONCE = 500


def are_used() -> bool:
    """Tell whether the rows are on SQLite, in a file."""
    connection: Any = connections[ledger.database()]
    return bool(connection.vendor == "sqlite" and not connection.is_in_memory_db())


class Notes:
    """The steps of the ledger that a looker makes, on a file; for one process at a time."""

    def __init__(self) -> None:
        self._database = str(connections[ledger.database()].settings_dict["NAME"])
        self._path = _path(self._database)
        self._rows: dict[str, dict[str, Any]] = _read(self._path, self._database)

    def claim(self, now: datetime, *, behind: timedelta = timedelta(0)) -> list[Revocation]:
        """Return rows that are due, as they are by the notes."""
        rows = Revocation.objects.using(ledger.database())
        due = rows.filter(due_at__lte=now).order_by("due_at", "pk")
        found = []
        for row in due[: _AT_ONCE + len(self._rows)]:
            note = self._of(row)
            if note is not None and note.get("done"):
                continue
            if note is not None and (note["last"] or not row.is_last):
                row.is_last, row.attempts = note["last"], note["attempts"]
                row.due_at = datetime.fromisoformat(note["due"])
            if row.due_at <= (now - behind if row.is_last else now):
                found.append(row)
        self._tidy()
        return found

    def confirm(self, row: Revocation, due: datetime, affected: Affected | None = None) -> bool:  # noqa: ARG002
        """See ledger.confirm()."""
        return self._note(row, due=due.isoformat(), last=True, attempts=0)

    def postpone(self, row: Revocation, due: datetime, affected: Affected | None = None) -> bool:  # noqa: ARG002
        """See ledger.postpone()."""
        attempts = row.attempts + 1
        return self._note(row, due=due.isoformat(), last=row.is_last, attempts=attempts)

    def forget(self, rows: Sequence[Revocation]) -> int:
        """Note that they are finished: ledger.write() deletes them, in somebody's request."""
        for row in rows:
            self._note(row, done=True, last=True)
        return len(rows)

    drop = forget

    def holder(self, rows: Sequence[Revocation]) -> Callable[[], None]:  # noqa: ARG002
        """See ledger.holder(): who has the host's lock needs no other."""
        return lambda: None

    def next_due(self) -> datetime | None:
        """Return when the next row is due."""
        rows = Revocation.objects.using(ledger.database()).order_by("due_at", "pk")
        due = []
        for row in rows[: _AT_ONCE + len(self._rows)]:
            note = self._of(row)
            if note is None or not note.get("done"):
                due.append(datetime.fromisoformat(note["due"]) if note else row.due_at)
        return min(due, default=None)

    def _of(self, row: Revocation) -> dict[str, Any] | None:
        note = self._rows.get(str(row.pk))
        # A database that was made anew counts from 1 again.
        return note if note and note["created"] == row.created_at.isoformat() else None

    def _note(self, row: Revocation, **values: Any) -> bool:
        self._rows[str(row.pk)] = {"created": row.created_at.isoformat(), **values}
        self._write()
        return True

    def _tidy(self) -> None:
        """Forget what is about rows that are gone."""
        if not self._rows:
            return
        rows = Revocation.objects.using(ledger.database())
        there = {str(pk) for pk in rows.values_list("pk", flat=True)}
        if self._rows.keys() - there:
            self._rows = {key: note for key, note in self._rows.items() if key in there}
            self._write()

    def _write(self) -> None:
        text = json.dumps({"database": self._database, "rows": self._rows})
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        part.write_text(text)
        part.chmod(0o600)
        part.replace(self._path)


def _path(database: str) -> Path:
    """Return the file; with tenants each of their databases has one."""
    if not tenancy.are_used():
        return folder() / "looker.json"
    return folder() / f"looker.{hashlib.sha256(database.encode()).hexdigest()[:12]}.json"


def _read(path: Path, database: str) -> dict[str, dict[str, Any]]:
    try:
        stored = json.loads(path.read_text())
        return dict(stored["rows"]) if stored["database"] == database else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def delete_finished() -> None:
    """Delete what is done with, in the transaction of somebody who writes a row anyway."""
    if not are_used():
        return
    alias = ledger.database()
    try:
        database = str(connections[alias].settings_dict["NAME"])
        rows = _read(_path(database), database)
    except OSError:  # no folder to have notes in
        return
    done = {int(key): note["created"] for key, note in rows.items() if note.get("done")}
    if done:
        made = {datetime.fromisoformat(created) for created in done.values()}
        found = Revocation.objects.using(alias).filter(pk__in=done, created_at__in=made)
        found.delete()
