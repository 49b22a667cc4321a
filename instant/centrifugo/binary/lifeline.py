"""
The life-line between a server and the processes that want it, and the lock of whoever runs it.

The life-line is a named pipe in the server's folder. Each process that wants the server holds its
writing end; the supervisor holds its reading end, and ends with the last writer. The kernel closes
both ends of a process that is killed, so neither outlives the other unnoticed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows, which has no named pipes in folders either
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "STOP",
    "SUPPORTED",
    "Claim",
    "ask_to_stop",
    "holder",
    "join",
    "starting",
    "take",
    "unforked",
    "wait_for_end",
]

SUPPORTED = all((hasattr(fcntl, "flock"), hasattr(os, "mkfifo"), hasattr(select, "poll")))

STOP = b"stop\n"
"""Asks the supervisor to stop the server and end."""

_FIFO = "server.lifeline"
_LOCK = "server.lock"
_STARTING = "server.starting"


unforked = threading.RLock()
"""Held while no fork may copy an open file: a copied lock would not end with its holder."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=unforked.acquire,
        after_in_parent=unforked.release,
        after_in_child=unforked.release,
    )


class Claim:
    """The lock of a folder: whoever holds it runs the folder's server, or is about to."""

    def __init__(self, folder: Path, file: int) -> None:
        self.file = file
        self._folder = folder

    def note(self, **facts: str) -> None:
        """Write down who holds it, for holder()."""
        text = json.dumps({"host": socket.gethostname(), **facts}).encode()
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, text, 0)

    def lifeline(self) -> tuple[int, int]:
        """Make a new life-line; return its reading and its writing end. Raises OSError."""
        path = self._folder / _FIFO
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        return reading, os.open(path, os.O_WRONLY | os.O_NONBLOCK)

    def close(self) -> None:
        """Close this process's copy. A supervisor that has inherited it keeps the lock."""
        os.close(self.file)


def take(folder: Path) -> Claim | None:
    """Return the folder's lock, or None if somebody has it. Raises OSError."""
    file = _lock(folder / _LOCK)
    return None if file is None else Claim(folder, file)


def holder(folder: Path) -> Mapping[str, Any] | None:
    """Return what the lock's holder has noted; None if nobody holds it. Raises OSError."""
    with unforked:
        claim = take(folder)
        if claim is not None:
            claim.close()
            return None
    try:
        noted = json.loads((folder / _LOCK).read_bytes())
    except ValueError:  # it is being written
        return {}
    return noted if isinstance(noted, dict) else {}


def join(folder: Path) -> int | None:
    """Return a writing end of the folder's life-line; None if no supervisor holds the other."""
    with contextlib.suppress(OSError):
        return os.open(folder / _FIFO, os.O_WRONLY | os.O_NONBLOCK)
    return None


def wait_for_end(line: int, folder: Path) -> None:
    """Wait until the supervisor at the other end of ``line`` is gone."""
    ended = select.poll()
    ended.register(line, 0)  # what is wrong with it is told in any case
    while not ended.poll(2000):
        # Once more by asking, for event loops whose poll() tells only what was asked for.
        again = join(folder)
        if again is None:
            return
        os.close(again)


def ask_to_stop(folder: Path, seconds: float = 15) -> bool:
    """Have the folder's supervisor stop its server; tell whether nobody runs one any more."""
    line = join(folder)
    if line is None:
        return False
    with contextlib.suppress(OSError):
        os.write(line, STOP)
    os.close(line)
    until = time.monotonic() + seconds
    while holder(folder) is not None:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def starting(folder: Path, seconds: float = 30) -> Iterator[None]:
    """Let one process of the folder at a time decide about its server. Raises OSError."""
    until = time.monotonic() + seconds
    # Asked again and again, since a blocking flock() would stop all greenlets of a worker.
    while (file := _lock(folder / _STARTING)) is None:
        if time.monotonic() > until:
            raise TimeoutError(None, "another process has been starting the server for too long")
        time.sleep(0.05)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # for a fork that has a copy, too
        os.close(file)


def _lock(path: Path) -> int | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file
