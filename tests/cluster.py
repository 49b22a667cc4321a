"""
A PostgreSQL server for one command: ``python -m tests.cluster COMMAND …``.

It lives in a temporary folder, listens on a socket in there only, and is gone with the
command, also after Ctrl-C or SIGTERM. The command finds the folder in ``INSTANT_TESTS_PGHOST``.
"""

import atexit
import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOST = "INSTANT_TESTS_PGHOST"
ABSENT = "PostgreSQL is not installed on this machine: nothing can be tested on it."
DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps a folder for each major version, outside of PATH."""

FASTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""A database that is thrown away need not outlive a power cut."""


def programs():
    """Return the folder with initdb and postgres; None where there is none."""
    versions = sorted(DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    for folder in [*versions, *([Path(on_path).parent] if on_path else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def major(folder):
    """Return the major version of the programs."""
    told = subprocess.run([folder / "postgres", "-V"], check=True, capture_output=True, text=True)
    return int(re.search(r"\d+", told.stdout)[0])


class Cluster:
    """One server with the superuser “postgres”; leaving the context stops and removes it."""

    def __init__(self, folder_of_programs, *, icu=True, kept=None, **options):
        """
        Take other options of postgres: with synchronous_commit="on" a commit outlives kill().

        It begins with the databases that another one has kept, or without any.
        """
        self._bin, self._kept = folder_of_programs, kept
        self._icu = icu
        self._options = {**FASTER, **options, "listen_addresses": ""}
        self._stack = contextlib.ExitStack()
        # PostgreSQL refuses to run as root; Debian's package makes this user for it.
        self._as = {}
        if os.geteuid() == 0:
            found = pwd.getpwnam("postgres")
            self._as = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            # Not below a TMPDIR that only root may enter; a socket's path has 107 bytes at most.
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp"))
            self.folder = Path(name)
            if self._as:
                os.chown(self.folder, self._as["user"], self._as["group"])
            data = self.folder / "data"
            if self._kept:
                _copy(self._kept, data)
            else:
                order = self._order()
                self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", *order)
            stack.callback(self._stop, data)
            self._options["unix_socket_directories"] = self.folder
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        self._stack.close()

    def restart(self):
        """End all connections, and be there again."""
        self._run(
            "pg_ctl",
            "restart",
            "-w",
            "-m",
            "fast",
            "-D",
            self.folder / "data",
            "-l",
            self.folder / "log",
        )

    def keep(self):
        """Return a folder with a copy of all databases, for others to begin with; gone at the end of the process."""
        folder = tempfile.TemporaryDirectory(prefix="pg-kept-", dir="/tmp")
        atexit.register(folder.cleanup)
        data = self.folder / "data"
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", data)
        _copy(data, Path(folder.name) / "data")
        self.start()
        return Path(folder.name) / "data"

    def kill(self):
        """Kill -9 the server and all that serve a connection, as if out of memory."""
        lock = self.folder / "data" / "postmaster.pid"
        first = int(lock.read_text().split()[0])
        listed = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for number in (first, *map(int, listed)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        while any(_runs(number) for number in (first, *map(int, listed))):
            time.sleep(0.01)
        # Where nobody reaps it, its number is still taken, and the next one would refuse to start.
        for left in (lock, *self.folder.glob(".s.PGSQL.*")):
            left.unlink()

    def start(self):
        """Start it, also after kill()."""
        given = " ".join(f"-c {key}='{value}'" for key, value in self._options.items())
        data, log = self.folder / "data", self.folder / "log"
        self._run("pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", given)

    def _order(self):
        """Sort names as a language does, as most servers do: another order than Python's."""
        options = ["-E", "UTF8", "--locale=C"]
        return (
            [*options, "--locale-provider=icu", "--icu-locale=en"]
            if self._icu and major(self._bin) >= 15
            else options
        )

    def _run(self, program, *arguments):
        # A session of its own: Ctrl-C is for the command, and the server outlives it.
        with (self.folder / "out").open("w") as out:
            done = subprocess.run(  # noqa: PLW1510  what it said is in the error
                [self._bin / program, *map(str, arguments)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as,
            )
        if done.returncode:
            log = self.folder / "log"
            told = (self.folder / "out").read_text() + (log.read_text() if log.exists() else "")
            raise RuntimeError(f"{program} ended with {done.returncode}:\n{told}")

    def _stop(self, data):
        if (data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", data)


def _copy(data, target):
    # With owners and modes, and without a second copy on the disk where the file system knows how.
    subprocess.run(["cp", "-a", "--reflink=auto", data, target], check=True)


def _runs(number):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def main():
    folder = programs()
    if folder is None:
        print(ABSENT, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Cluster(folder) as cluster:
            # Ctrl-C reaches the command too, as part of the terminal's foreground: it decides.
            signal.signal(signal.SIGINT, lambda *_: None)
            command = subprocess.Popen(sys.argv[1:], env={**os.environ, HOST: str(cluster.folder)})
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda *_: command.terminate())
            return command.wait()
    except KeyboardInterrupt:  # before there was a command
        return 130


if __name__ == "__main__":
    sys.exit(main())
