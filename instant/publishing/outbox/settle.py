"""Deleting what was sent on SQLite, by somebody who writes anyway; see ``notes``."""

from __future__ import annotations

import os

from django.db.backends.base.base import BaseDatabaseWrapper

from instant import conf
from instant.publishing.outbox import notes, tables

__all__ = ["settle"]

_settled: dict[str, tuple[int, int, int]] = {}
"""By file, the notes of which all was deleted already."""


def settle(connection: BaseDatabaseWrapper) -> None:
    """Delete rows that were sent, and set those aside that were refused, if there are new ones."""
    if not notes.are_used(connection):
        return
    try:
        path = str(notes.path_of(connection))
        stat = os.stat(path)  # noqa: PTH116  a Path costs as much as the call itself
    except OSError:  # nothing was sent yet
        return
    found = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if _settled.get(path) == found:
        return
    noted = notes.read(connection, will_write=True)
    rows, keep = tables.all_rows(connection.alias), conf.current().outbox_keep
    tables.set_aside(rows, {int(id_): error for id_, error in noted.refused.items()})
    tables.keep_sent(rows.filter(noted.done()), keep)
    if keep is not None or path not in _settled:
        tables.collect(rows, keep)
    # Where this is rolled back, they are deleted with what is sent next.
    _settled[path] = found
