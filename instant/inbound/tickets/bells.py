"""
Bells of processes of this host: one of each worker of requests, and one of whoever waits for one.

Unlike the one of the other workers, which one of them has at a time, so that all of them wake. Who
is on another host is not woken, and looks now and then.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from instant.revoking.host import folder

__all__ = ["Bell", "of_asker", "of_workers", "ring", "ring_all"]

_numbers = count()

_MOST = 60_000
"""Bytes that a bell is rung with at most."""

_NOTHING = b"!"


def of_workers(queue: str) -> str:
    """Return what the names of the bells of a queue's workers begin with."""
    return f"w-{hashlib.sha256(queue.encode()).hexdigest()[:10]}-"


def of_asker(id_: str) -> str:
    """Return the name of the bell of whoever waits for the end of a ticket."""
    return f"a-{id_[:16]}"


class Bell:
    """A socket of this process, in a block; where there can be none, wait() just waits."""

    def __init__(self, name: str, *, is_one_of_many: bool = False) -> None:
        own = f"{os.getpid()}-{next(_numbers)}" if is_one_of_many else ""
        self._name = f"{name}{own}.sock"
        self._path: Path | None = None
        self.socket: socket.socket | None = None
        self.said = b""
        """What it was rung with last; ``b""`` where that was nothing."""

    def __enter__(self) -> Self:
        if hasattr(socket, "AF_UNIX"):
            bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            bell.settimeout(0)
            try:
                path = folder() / self._name
                bell.bind(str(path))
                path.chmod(0o600)
            except OSError:
                bell.close()
            else:
                self._path, self.socket = path, bell
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, or so long; tell whether it has."""
        if self.socket is None:
            time.sleep(seconds)
            return False
        # Not select(), which takes no socket that a busy server has after its first 1,024.
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)  # clear() reads what it says
        except OSError:  # nothing has come
            return False
        finally:
            self.socket.settimeout(0)
        self.clear()
        return True

    def clear(self) -> None:
        """Take out all that has come."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                while said := self.socket.recv(_MOST):
                    self.said = said if said != _NOTHING else self.said


def ring(name: str, said: bytes = b"") -> None:
    """Wake whoever has the bell of this name, and say so much, if it fits; raises nothing."""
    with contextlib.suppress(OSError):
        _ring(folder() / f"{name}.sock", said if 0 < len(said) < _MOST else _NOTHING)


def ring_all(beginning: str) -> int:
    """Wake everybody whose bell's name begins so, and return how many there are; raises nothing."""
    count = 0
    with contextlib.suppress(OSError):
        for path in folder().glob(f"{beginning}*.sock"):
            try:
                _ring(path)
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)  # its process was killed
                continue
            except OSError:
                pass  # it is full: whoever has it wakes anyway
            count += 1
    return count


def _ring(path: Path, said: bytes = _NOTHING) -> None:
    if hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
            bell.settimeout(0)
            bell.sendto(said, str(path))
