"""
Run a server for as long as somebody holds its life-line.

    python -m instant.centrifugo.binary.supervisor LOCK LIFELINE FOLDER COMMAND...

LOCK and LIFELINE are inherited file descriptors; see ``lifeline.py``. The server gets neither.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from instant.centrifugo.binary.lifeline import STOP
from instant.centrifugo.binary.process import pid_file

__all__ = ["GRACE", "GRACE_VARIABLE", "start"]

GRACE = 10.0
"""
Seconds for which the server goes on without anybody: web workers are replaced meanwhile.

All of them may be recycled at once, and a site takes seconds to start.
"""

GRACE_VARIABLE = "_INSTANT_GRACE"
"""In a test's environment: another number of seconds."""

_PATIENCE = 10.0
"""Seconds in which a server that is told to end has to."""

_PR_SET_PDEATHSIG = 1


def start(
    lock: int, line: int, folder: Path, command: list[str], env: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a supervisor in a session of its own, where no Ctrl-C reaches it. Raises OSError."""
    return subprocess.Popen(  # noqa: S603  ourselves
        [sys.executable, "-m", __name__, str(lock), str(line), str(folder), *command],
        env=env,
        stdin=subprocess.DEVNULL,
        pass_fds=(lock, line),
        start_new_session=True,
    )


def main(arguments: list[str]) -> int:
    """Run the server; return its exit code, or 0 if it was ended because nobody wants it."""
    lock, line = int(arguments[0]), int(arguments[1])
    for inherited in (lock, line):
        os.set_inheritable(inherited, False)  # noqa: FBT003  its only argument
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    told: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, note)
    with pid_file(Path(arguments[2])) as note_pid:
        server = subprocess.Popen(  # noqa: S603  the command that runws runs
            arguments[3:],
            # One thread, and two system calls: safe between fork and exec.
            preexec_fn=_end_with_parent,  # noqa: PLW1509
        )
        note_pid(server.pid)
        if _watch(server, line, awake, told):
            return server.wait()
        _end(server)
    return 0


def _watch(server: subprocess.Popen[bytes], line: int, awake: int, told: list[int]) -> bool:
    """Wait for the server's end (True), or until it is to be ended (False)."""
    poll = select.poll()
    poll.register(awake, select.POLLIN)
    poll.register(line, select.POLLIN)
    alone_since: float | None = None
    grace = float(os.environ.get(GRACE_VARIABLE, GRACE))
    while server.poll() is None:
        said = _read(line)
        if STOP in (said or b"") or {signal.SIGTERM, signal.SIGINT} & {*told}:
            return False
        if signal.SIGHUP in told:
            told.remove(signal.SIGHUP)
            server.send_signal(signal.SIGHUP)
        if said != b"" and alone_since is not None:  # somebody has come back
            alone_since = None
            poll.register(line, select.POLLIN)
        elif said == b"" and alone_since is None:
            alone_since = time.monotonic()
            poll.unregister(line)  # it would tell of its end again and again
        if alone_since is not None and time.monotonic() - alone_since > grace:
            return False
        poll.poll(None if alone_since is None else 100)
        _read(awake)
    return True


def _read(file: int) -> bytes | None:
    """Return what has come, ``b""`` if nobody can write there any more, None for nothing yet."""
    try:
        return os.read(file, 512)
    except BlockingIOError:
        return None


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _end_with_parent() -> None:
    """
    Let Linux end the server if the supervisor is killed; others leave it, to be found again.

    At once, for the next one needs its port.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
