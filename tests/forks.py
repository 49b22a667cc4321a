"""
Processes that begin with a project set up: forks of one that has done it, instead of new ones.

Tests that start dozens for a line of code each start one, and this one forks: what runs in a fork dies,
is killed and exits as any other process.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.interpreters import ROOT, Python, ask, become, serve

MOST = 1 << 16
"""Bytes that are read at once."""


class Forks:
    """
    Run modules as ``python -m`` does, in an environment with DJANGO_SETTINGS_MODULE.

    The settings are imported once, so whoever changes the environment needs other Forks. Nothing that
    looks at its own command line when Django is set up belongs here, as runserver and runws.
    """

    def __init__(self, env, *, cwd=ROOT):
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(filter(None, [env.get("PYTHONPATH"), str(ROOT)]))
        with theirs:
            self._process = Python(
                ["-m", "tests.forks", str(theirs.fileno())],
                env={**env, "PYTHONPATH": path},
                cwd=cwd,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def run(self, *command, timeout=60):
        """Run it to its end; return what subprocess.run() returns for texts."""
        process = self.start(*command, stderr=None)
        out, err = process.communicate(timeout)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def start(self, *command, stderr=subprocess.STDOUT):
        """Start it; its output is in ``stdout``, and there too what it says of errors, or in ``stderr``."""
        out, their_out = os.pipe()
        err, their_err = (out, their_out) if stderr == subprocess.STDOUT else os.pipe()
        pid = self._ask({"command": command}, [their_out, their_err])
        for number in {their_out, their_err}:
            os.close(number)
        return Fork(pid, self._ask, out, err)

    def start_silent(self, *command, stderr):
        """Start it; errors go to this open file, and nothing else."""
        with Path(os.devnull).open("w") as nothing:
            pid = self._ask({"command": command}, [nothing.fileno(), stderr.fileno()])
        return Fork(pid, self._ask)

    def close(self):
        """End the process, and all that it has forked."""
        self._channel.close()
        self._process.wait(60)

    def _ask(self, request, files=()):
        return ask(self._channel, request, files)


class Fork:
    """One process, with what subprocess.Popen has."""

    def __init__(self, pid, ask, out=None, err=None):
        self.pid, self._ask = pid, ask
        self.returncode = None
        self._end = os.pidfd_open(pid)
        self.stdout = None if out is None else os.fdopen(out, encoding="utf-8")
        self.stderr = None if err in {None, out} else os.fdopen(err, encoding="utf-8")

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
            self.returncode = self._ask({"ended": self.pid})
            os.close(self._end)
        return self.returncode

    def send_signal(self, number):
        if self.returncode is None:
            signal.pidfd_send_signal(self._end, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout=None):
        """Return its output and its errors, when it has ended."""
        said = {}
        files = [file for file in (self.stdout, self.stderr) if file]
        waiting = {file.fileno(): b"" for file in files}
        open_files = set(waiting)
        while open_files:
            ready = select.select(open_files, [], [], timeout)[0]
            if not ready:
                self.kill()
                raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
            for number in ready:
                chunk = os.read(number, MOST)
                waiting[number] += chunk
                if not chunk:
                    open_files.discard(number)
        for file in files:
            said[file] = waiting[file.fileno()].decode()
            file.close()
        self.wait(timeout)
        return tuple(said.get(file, "") for file in (self.stdout, self.stderr))


# --- in the process that forks --------------------------------------------------------------


def main(number):
    import django

    django.setup()
    # Sooner or later in such processes; without a connection, a thread or a look at a file.

    gc.freeze()  # a fork shares the memory for as long as nothing looks at it
    found = serve(socket.socket(fileno=int(number)))
    if found:
        request, files = found
        for target, file in enumerate(files, start=1):
            os.dup2(file, target)
        for file in files:
            os.close(file)
        become(["-m", *request["command"]])


if __name__ == "__main__":
    main(sys.argv[1])
