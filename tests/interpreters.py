"""
Python processes that begin with Django and Centrifugo's client imported: forks of one that has done it.

Half a second of processor time goes by before a Python that imports Django does anything, and the tests
start hundreds. These are forks of one that knows no settings yet: command line, environment, folder and
open files are their own, and whatever looks at them finds what it would in a new interpreter. But for
two things: their parent is the process that forks, and ``/proc`` shows its command line.
"""

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = (
    "aiohttp.web",
    "cent",
    "django.contrib.admin",
    "django.core.management.commands.migrate",
    "django.core.management.commands.shell",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.models",
    "django.forms",
    "django.test.client",
    "django.views.generic",
    "instant.embedded.server",
    "jwt.algorithms",
    "requests",
)
"""What most of them import sooner or later, and what needs no settings."""
MOST = 1 << 17
"""Bytes of a request: more than an environment and a program have."""


class Python(subprocess.Popen):
    """
    What ``subprocess.Popen([sys.executable, *command], …)`` is, but for the time it takes.

    A command is ``-m module …``, ``-c program …`` or the path of a script and its arguments.
    """

    def __init__(self, command, **options):
        self._end = None
        super().__init__([sys.executable, *command], **options)

    def _execute_child(self, args, _executable, _preexec, _close, pass_fds, cwd, env, *rest):
        # The order of the standard library's own: startupinfo, creationflags and shell, three pairs of
        # files, restore_signals, gid, gids, uid, umask, start_new_session, process_group.
        handles, start_new_session = rest[3:9], rest[14]
        environment = os.environ if env is None else env
        files = {
            number: number if handle == -1 else handle
            for number, handle in enumerate((handles[0], handles[3], handles[5]))
        }
        request = {
            "command": [os.fspath(part) for part in args[1:]],
            "env": {os.fspath(name): os.fspath(value) for name, value in environment.items()},
            "cwd": os.fspath(cwd or Path.cwd()),
            "numbers": [*files, *pass_fds],
            "session": bool(start_new_session),
        }
        try:
            self.pid = _first().ask(request, [*files.values(), *pass_fds])
            self._end = os.pidfd_open(self.pid)
        finally:
            self._close_pipe_fds(*handles)
        self._child_created = True

    def _internal_poll(self, **_ignored):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait(0)
        return self.returncode

    def _wait(self, timeout):
        if self.returncode is None and not select.select([self._end], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout)
        with self._waitpid_lock:
            if self.returncode is None:
                self.returncode = _first().ask({"ended": self.pid})
                os.close(self._end)
        return self.returncode


def run(command, *, check=False, capture_output=False, input=None, timeout=None, **options):  # noqa: A002
    """Do what ``subprocess.run([sys.executable, *command], …)`` does."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with Python(command, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, out, err)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class First:
    """The process that forks, as long as this one lives."""

    def __init__(self):
        self._lock = threading.Lock()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Nothing of this process's settings is known to it.
        ours = ("PYTHONPATH", "DJANGO_SETTINGS_MODULE")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.interpreters", str(theirs.fileno())],
                env={name: value for name, value in os.environ.items() if name not in ours},
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def ask(self, request, files=()):
        with self._lock:
            return ask(self._channel, request, files)

    def close(self):
        self._channel.close()
        self._process.wait(60)


@functools.cache
def _first():
    found = First()
    atexit.register(found.close)
    return found


def ask(channel, request, files=()):
    """Send a request with open files to a process that serves; return its answer."""
    socket.send_fds(channel, [json.dumps(request).encode()], files)
    answer = channel.recv(MOST)
    assert answer, "The process that forks has ended."
    return json.loads(answer)


# --- in the process that forks --------------------------------------------------------------


def serve(channel):
    """Fork for each request; return it in the fork, with its files, and None at the end."""
    children = set()
    while True:
        text, files, *_ = socket.recv_fds(channel, MOST, 8)
        if not text:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            return None
        request = json.loads(text)
        if "ended" in request:
            children.discard(request["ended"])
            _, status = os.waitpid(request["ended"], 0)
            channel.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if pid == 0:
            channel.close()
            return request, files
        children.add(pid)
        for file in files:
            os.close(file)
        channel.send(json.dumps(pid).encode())


def main(number):
    path = sys.path[1:]
    for name in IMPORTED:
        with contextlib.suppress(ImportError):  # what is needed and not installed fails there
            importlib.import_module(name)
    gc.freeze()  # a fork shares the memory for as long as nothing looks at it
    found = serve(socket.socket(fileno=int(number)))
    if found:
        request, files = found
        _take(files, request["numbers"])
        _settle(request, path)
        become(request["command"])


def _take(files, numbers):
    """Have the files open under these numbers, and no other."""
    beyond = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 1000) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(beyond, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)


def _settle(request, path):
    """Be where a new interpreter would be, and know what it would."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    tempfile.tempdir = None
    if request["session"]:
        os.setsid()
    first, given = request["command"][0], os.environ.get("PYTHONPATH")
    begin = {"-m": request["cwd"], "-c": ""}.get(first, str(Path(first).resolve().parent))
    sys.path[:] = [begin, *(given.split(os.pathsep) if given else ()), *path]
    sys.orig_argv = [sys.executable, *request["command"]]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    importlib.invalidate_caches()
    if os.environ.get("PYTHONUNBUFFERED"):
        for name, number in (("stdout", 1), ("stderr", 2)):
            raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115  as long as the process
            setattr(sys, name, io.TextIOWrapper(raw, encoding="utf-8", write_through=True))


def become(command):
    """
    Run the command as Python does, and end as it does.

    But for freeing all that was imported, which takes longer than most of these commands.
    """
    code = 0
    try:
        _run(command)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(command):
    if command[0] == "-c":
        sys.argv = ["-c", *command[2:]]
        sys.modules["__main__"] = module = types.ModuleType("__main__")
        exec(compile(command[1], "<string>", "exec"), module.__dict__)
    elif command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(command)
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
