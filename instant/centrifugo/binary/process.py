"""Find the server's program, and run it as if it had been started by hand."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from instant.exceptions import InstantConfigError

__all__ = [
    "BINARY_VARIABLE",
    "binary_version",
    "centrifugo_command",
    "embedded_command",
    "environment",
    "find_binary",
    "pid_file",
    "read_pid",
    "reload",
    "run",
]

BINARY_VARIABLE = "CENTRIFUGO_BIN"
"""The environment variable that can name the binary."""

_PID_FILE = "server.pid"
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP")


def find_binary(directory: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """
    Return the Centrifugo binary in ``directory``, in CENTRIFUGO_BIN or on PATH, in this order.

    Returns None if there is none. Raises InstantConfigError if CENTRIFUGO_BIN names something that
    can't be run.
    """
    own = directory / ("centrifugo.exe" if os.name == "nt" else "centrifugo")
    if own.is_file() and os.access(own, os.X_OK):
        return own
    if named := environ.get(BINARY_VARIABLE):
        found = shutil.which(named)
        if found is None:
            raise InstantConfigError(
                f"{BINARY_VARIABLE} names {named}, which is not an executable program. "
                f"Correct or unset it."
            )
        return Path(found).absolute()
    on_path = shutil.which("centrifugo", path=environ.get("PATH"))
    return Path(on_path).absolute() if on_path else None


def binary_version(binary: Path) -> str:
    """
    Return the version that ``binary`` reports, for example ``6.9.1``, or ``""`` if it reports none.

    A build from source reports ``0.0.0``. Waits at most 5 s. Raises OSError if the file can't be
    executed on this machine.
    """
    try:
        said = subprocess.run(  # noqa: S603  the binary that is about to be run
            [str(binary), "version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5,
            check=False,
            stdin=subprocess.DEVNULL,
        ).stdout
    except subprocess.TimeoutExpired:
        return ""
    match = re.search(r"Centrifugo v?(\d+\.\d+\.\d+\S*)", said)
    return match[1] if match else ""


def centrifugo_command(
    binary: Path, config_file: Path, *, address: str | None = None, port: int | None = None
) -> list[str]:
    """Return the command line of the binary; ``address`` and ``port`` override the file."""
    command = [str(binary), "-c", str(config_file)]
    if address is not None:
        command += ["--http_server.address", address]
    if port is not None:
        command += ["--http_server.port", str(port)]
    return command


def embedded_command(
    config_file: Path,
    *,
    address: str | None = None,
    port: int | None = None,
    data: Path | None = None,
) -> list[str]:
    """
    Return the command line of the embedded server, run by this Python.

    With ``data`` it keeps its histories in that file. Raises InstantConfigError if the package was
    installed without the embedded server.
    """
    if importlib.util.find_spec("instant.embedded.__main__") is None:
        raise InstantConfigError(
            "This installation of django-instant lacks instant.embedded. Reinstall it, or run "
            "“manage.py installws”."
        )
    command = [sys.executable, "-m", "instant.embedded", "--config", str(config_file)]
    if address is not None:
        command += ["--address", address]
    if port is not None:
        command += ["--port", str(port)]
    if data is not None:
        command += ["--data", str(data)]
    return command


def environment(
    *, hmac_key: str, api_key: str, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """
    Return the environment for the server: ``environ`` and the two keys that Django uses.

    They override the keys in the file, so both sides agree even if a Django setting has another
    key. They aren't passed on the command line, which every user of the machine can read.
    """
    env = {**environ}
    env.pop(BINARY_VARIABLE, None)  # the server reads all CENTRIFUGO_* as its options
    env["CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY"] = hmac_key
    env["CENTRIFUGO_HTTP_API_KEY"] = api_key
    return env


def read_pid(folder: Path) -> int | None:
    """Return the process id of the server that run() runs for the folder, or None."""
    try:
        import fcntl  # noqa: PLC0415  not on Windows

        with (folder / _PID_FILE).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except (ImportError, OSError, ValueError):
        return None
    return None  # nobody locks it: the number may belong to another process by now


def reload(folder: Path) -> bool:
    """
    Tell the server that run() runs for the folder to reload its config; return False if none does.

    Raises NotImplementedError on Windows, which has no signal for this.
    """
    if not hasattr(signal, "SIGHUP"):
        raise NotImplementedError
    pid = read_pid(folder)
    if pid is None:
        return False
    os.kill(pid, signal.SIGHUP)
    return True


def _open_private(path: Path) -> int:
    """Open a file for its owner alone, whatever the umask: “--reload” signals who is in it."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
    os.fchmod(handle, 0o600)
    return handle


@contextmanager
def pid_file(folder: Path | None) -> Iterator[Callable[[int], None]]:
    """Lock the folder's pid file while a server runs. The lock ends with this process."""
    if folder is None or os.name == "nt":
        yield lambda _pid: None
        return
    import fcntl  # noqa: PLC0415  not on Windows

    try:
        file = os.fdopen(_open_private(folder / _PID_FILE), "a+")
    except OSError:  # a folder that is not ours to write; --reload then says so
        yield lambda _pid: None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another server runs for this folder, on another port
            yield lambda _pid: None
            return

        def note(pid: int) -> None:
            file.truncate(0)
            file.write(str(pid))
            file.flush()

        yield note
        file.truncate(0)


def run(
    command: Sequence[str], env: Mapping[str, str] | None = None, *, folder: Path | None = None
) -> int:
    """
    Run ``command`` until it ends; return its exit code, or 128 + n if signal n ended it.

    The child inherits stdin, stdout and stderr. SIGINT, SIGTERM and SIGHUP to this process are
    passed on to it. Ctrl-C in a terminal reaches the child directly and isn't sent twice;
    therefore “kill -INT” on this process has no effect while it is in a terminal's foreground, and
    SIGTERM has. Signals are passed on only if this is called from the main thread. ``folder`` gets
    a pid file for read_pid(). Raises OSError if the command can't be started.
    """
    with _relay() as relay, pid_file(folder) as note_pid:
        process = subprocess.Popen(command, env=env)  # noqa: S603  the caller's own
        relay.attach(process)
        note_pid(process.pid)
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return code if code >= 0 else 128 - code


class _Relay:
    """Pass signals on to a child, also those that arrived before it was started."""

    def __init__(self) -> None:
        self._early: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        elif not _from_our_terminal(number):
            self._process.send_signal(number)

    def attach(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        for number in self._early:
            process.send_signal(number)


@contextmanager
def _relay() -> Iterator[_Relay]:
    relay = _Relay()
    previous: dict[int, Any] = {}
    # Only the main thread may set handlers.
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)):
            # A signal that is ignored, as with nohup, stays ignored; the child inherits that.
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, relay)
    try:
        yield relay
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _from_our_terminal(number: int) -> bool:
    """Tell whether the terminal has sent this signal to our whole process group."""
    if number != signal.SIGINT or not hasattr(os, "tcgetpgrp"):
        return False
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False
