"""
One process of a host that looks, and what wakes it: a lock, a socket, and a file of notes.

They lie beside the server's config where that folder is there and ours, else in the folder for
temporary files, by user and project. The lock is the kernel's: when its holder dies, however,
the next one gets it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import select
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings

from instant import conf
from instant.exceptions import InstantConfigError

try:
    import fcntl
except ImportError:  # Windows: each process looks for itself
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOOKER", "Bell", "HostLock", "folder", "readable", "ring"]

LOOKER = "looker"
"""The name of what is there for rights that end."""

_LONGEST = 100
"""Bytes of a socket's path; the kernel takes 107, or 103 on macOS."""


def folder() -> Path:
    """Return where they lie; makes one of its own where there is none."""
    with contextlib.suppress(InstantConfigError, OSError):
        given = conf.current().dir
        own = len(str(given)) + len("/looker.sock") <= _LONGEST
        if own and given.is_dir() and os.access(given, os.W_OK):
            return given
    project = f"{getattr(settings, 'BASE_DIR', '')}|{os.environ.get('DJANGO_SETTINGS_MODULE')}"
    name = hashlib.sha256(project.encode()).hexdigest()[:12]
    user = os.getuid() if hasattr(os, "getuid") else 0
    found = Path(tempfile.gettempdir()) / f"instant-{user}-{name}"
    found.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and found.stat().st_uid != user:
        raise PermissionError(f"{found} belongs to somebody else.")
    return found


class HostLock:
    """
    Held by one process of the host, once; not inherited by those that it forks.

    A lock of POSIX: its holder's process counts, and closing the file anywhere in it lets go.
    Each ``name`` is a lock of its own.
    """

    _holders: ClassVar[dict[str, int]] = {}
    """The process in whose memory this stands, while it holds a lock; a fork copies it."""

    def __init__(self, name: str = LOOKER) -> None:
        self._name = name
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take it if nobody has it; tell whether it is ours now."""
        if fcntl is None:
            return True
        if HostLock._holders.get(self._name) == os.getpid():
            return False
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        file = os.open(folder() / f"{self._name}.lock", flags, 0o600)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        HostLock._holders[self._name] = os.getpid()
        return True

    def release(self) -> None:
        """Let another have it."""
        if self._file is not None:
            HostLock._holders.pop(self._name, None)
            os.close(self._file)
            self._file = None


class Bell:
    """A socket that any process of the host rings, for whoever holds the lock of its name."""

    def __init__(self, name: str = LOOKER) -> None:
        self.socket: socket.socket | None = None
        if not hasattr(socket, "AF_UNIX"):
            return
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bell.settimeout(0)
        path = folder() / f"{name}.sock"
        try:
            path.unlink(missing_ok=True)  # of a holder that is gone
            bell.bind(str(path))
            path.chmod(0o600)
        except OSError:
            bell.close()  # then it looks every few seconds all the same
        else:
            self.socket = bell

    def clear(self) -> set[str]:
        """Take out all that has come; return for which tenants it was."""
        found: set[str] = set()
        if self.socket is not None:
            with contextlib.suppress(OSError):
                while text := self.socket.recv(64):
                    found.add(text[1:].decode(errors="replace"))
        return found

    def close(self) -> None:
        """Hang up."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def ring(tenant: str = "", name: str = LOOKER) -> None:
    """Wake whoever looks on this host, for a tenant; nothing where nobody does."""
    if not hasattr(socket, "AF_UNIX"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.settimeout(0)
        bell.sendto(b"!" + tenant.encode(), str(folder() / f"{name}.sock"))


def readable(sources: Sequence[Any], seconds: float) -> list[Any]:
    """
    Wait until something can be read, or has ended, or for so long; return of which sources.

    ``sources`` have a ``fileno()``. Raises OSError and ValueError for one that is closed.
    """
    if not hasattr(select, "poll"):
        return select.select(sources, [], [], seconds)[0]
    # Not select(), which takes no file that a busy process has after its first 1,024.
    poll = select.poll()
    files = {source.fileno(): source for source in sources}
    for file in files:
        poll.register(file, select.POLLIN)
    found = poll.poll(seconds * 1000)
    if any(event & select.POLLNVAL for _, event in found):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return [files[file] for file, _ in found]
