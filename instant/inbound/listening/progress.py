"""
How far a listener has come, and which of several processes is the one that listens.

A row of ``Listener`` holds both. On SQLite it is a file beside the server's config and a lock of
the host, since any write beside a request can make that request fail there.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Q
from django.utils import timezone

from instant.models import Listener
from instant.revoking.host import HostLock, folder

__all__ = ["LEASE", "FileProgress", "Positions", "Progress", "RowProgress", "progress_of"]

LEASE = 15.0
"""Seconds after which another process takes over from one that died."""

Positions = dict[str, tuple[int, str]]
"""Offset and epoch of each channel."""


class Progress(Protocol):
    """What one process does with the progress of a listener."""

    def claim(self) -> Positions | None:
        """Become the one that listens, and return how far it has come; None where another is."""

    def save(self, positions: Positions) -> bool:
        """Note how far it has come, and stay the one for LEASE seconds; False where it isn't."""

    def release(self) -> None:
        """Let another one listen."""


def progress_of(name: str) -> Progress:
    """Return where the progress of a listener is kept."""
    alias = router.db_for_write(Listener)
    return FileProgress(name) if connections[alias].vendor == "sqlite" else RowProgress(name)


class RowProgress:
    """In a row; whoever has the lease writes it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._holder = uuid4().hex

    def claim(self) -> Positions | None:
        """See Progress."""
        try:
            with transaction.atomic(using=router.db_for_write(Listener)):
                Listener.objects.get_or_create(name=self._name)
        except IntegrityError:  # another process made it at the same moment
            pass
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now())
        if not self._update(free | Q(holder=self._holder)):
            return None
        return _positions(Listener.objects.get(name=self._name).positions)

    def save(self, positions: Positions) -> bool:
        """See Progress."""
        return self._update(Q(holder=self._holder), positions=positions)

    def release(self) -> None:
        """See Progress."""
        Listener.objects.filter(name=self._name, holder=self._holder).update(
            holder="", lease_until=None
        )

    def _update(self, condition: Q, **values: Any) -> bool:
        until = timezone.now() + timedelta(seconds=LEASE)
        rows = Listener.objects.filter(condition, name=self._name)
        return bool(rows.update(holder=self._holder, lease_until=until, **values))


class FileProgress:
    """In a file; the kernel gives the lock to the next one when its holder dies."""

    def __init__(self, name: str) -> None:
        self._lock = HostLock(f"listener.{name}")
        self._path = folder() / f"listener.{name}.json"

    def claim(self) -> Positions | None:
        """See Progress."""
        if not self._lock.acquire():
            return None
        try:
            return _positions(json.loads(self._path.read_text()))
        except (OSError, ValueError):
            return {}

    def save(self, positions: Positions) -> bool:
        """See Progress."""
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(positions, file)
            os.replace(name, self._path)  # noqa: PTH105  whole, or as it was
        except BaseException:  # it is tried again each second, and a disk may be full
            Path(name).unlink(missing_ok=True)
            raise
        return True

    def release(self) -> None:
        """See Progress."""
        self._lock.release()


def _positions(given: Any) -> Positions:
    """Read what was saved; what is none is left out, and read from now on."""
    found: Positions = {}
    for name, position in (given if isinstance(given, Mapping) else {}).items():
        match position:
            case [int(offset), str(epoch)]:
                found[str(name)] = (offset, epoch)
    return found
