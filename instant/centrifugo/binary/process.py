"""Find the server and run it as a child that behaves as if it had been started by hand."""

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
    "read_pid",
    "reload",
    "run",
]

BINARY_VARIABLE = "CENTRIFUGO_BIN"
"""The environment variable that may name the binary."""

_PID_FILE = "server.pid"
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP")


def find_binary(directory: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """
    Return the Centrifugo binary: the one in ``directory``, else CENTRIFUGO_BIN, else on PATH.

    Returns None where there is none. Raises InstantConfigError where CENTRIFUGO_BIN names
    something that can't be run.
    """
    own = directory / ("centrifugo.exe" if os.name == "nt" else "centrifugo")
    if own.is_file() and os.access(own, os.X_OK):
        return own
    if named := environ.get(BINARY_VARIABLE):
        found = shutil.which(named)
        if found is None:
            raise InstantConfigError(
                f"{BINARY_VARIABLE} names {named}, which is no program that can be run. "
                f"Correct or unset it."
            )
        return Path(found).absolute()
    on_path = shutil.which("centrifugo", path=environ.get("PATH"))
    return Path(on_path).absolute() if on_path else None


def binary_version(binary: Path) -> str:
    """
    Return what ``binary`` calls its version, ``6.9.1`` for example; ``""`` where it won't say.

    Builds from source call themselves ``0.0.0``. Waits 5 s at most. Raises OSError where the
    file can't be executed on this machine.
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
    """Return the command line of the binary; ``address`` and ``port`` override the file's."""
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
    Return the command line of the embedded server, run by this very Python.

    With ``data`` it keeps its histories in that file.
    Raises InstantConfigError where the package was installed without it.
    """
    if importlib.util.find_spec("instant.embedded.__main__") is None:
        raise InstantConfigError(
            "This installation of django-instant lacks instant.embedded. Install it again, or "
            "run “manage.py installws”."
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

    They win over the file's, so that both sides agree where a Django setting names another
    key. They travel here and not on the command line, which every user of a machine can read.
    """
    env = {**environ}
    env.pop(BINARY_VARIABLE, None)  # the server takes all CENTRIFUGO_* for its own
    env["CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY"] = hmac_key
    env["CENTRIFUGO_HTTP_API_KEY"] = api_key
    return env


def read_pid(folder: Path) -> int | None:
    """Return the process id of the server that run() holds in the folder; None where none does."""
    try:
        import fcntl  # noqa: PLC0415  not on Windows

        with (folder / _PID_FILE).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except (ImportError, OSError, ValueError):
        return None
    return None  # nobody holds it: the number in it may be another process by now


def reload(folder: Path) -> bool:
    """
    Let the server that run() holds in the folder read its config again; False where none does.

    Raises NotImplementedError on Windows, which has no signal for this.
    """
    if not hasattr(signal, "SIGHUP"):
        raise NotImplementedError
    pid = read_pid(folder)
    if pid is None:
        return False
    os.kill(pid, signal.SIGHUP)
    return True


@contextmanager
def _pid_file(folder: Path | None) -> Iterator[Callable[[int], None]]:
    """Hold the folder's pid file while a server runs; the lock goes with this process."""
    if folder is None or os.name == "nt":
        yield lambda _pid: None
        return
    import fcntl  # noqa: PLC0415  not on Windows

    try:
        file = (folder / _PID_FILE).open("a+")
    except OSError:  # a folder that is not ours to write; --reload then says so
        yield lambda _pid: None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another one runs from this folder, on another port
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
    Run ``command`` until it ends and return its exit code, 128 + n where signal n ended it.

    The child inherits stdin, stdout and stderr as they are. SIGINT, SIGTERM and SIGHUP that
    this process gets are passed on; Ctrl-C in a terminal goes to the child directly and is not
    sent twice. So “kill -INT” on this process alone does nothing while it runs in a terminal's
    foreground: SIGTERM does. Called from another than the main thread it passes nothing on.
    While it runs its process id is in ``folder``, for read_pid(). Raises OSError where the
    command can't be started.
    """
    with _relay() as relay, _pid_file(folder) as note_pid:
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
    """Pass signals on to a child, also those that came before there was one."""

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
            # What nohup ignores, the child inherits ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, relay)
    try:
        yield relay
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _from_our_terminal(number: int) -> bool:
    """Tell whether a terminal sends signal ``number`` to our whole process group itself."""
    if number != signal.SIGINT or not hasattr(os, "tcgetpgrp"):
        return False
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False
