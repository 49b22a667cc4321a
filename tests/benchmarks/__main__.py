"""
``make bench``: all tables, or those named.

There are canned, server, outbox, queue, stored, tokens, revoking, policies, fanout, calls, asking,
fragments, lists and saving.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.test.utils import get_runner, setup_databases, teardown_databases  # noqa: F401

from tests.benchmarks import (
    asking,
    calls,
    fanout,
    fragments,
    granting,
    lists,
    outbox,
    policies,
    publishing,
    queueing,
    revoking,
    revoking_cost,
    saving,
    stored,
)
from tests.benchmarks.timing import pin
from tests.cluster import ABSENT, HOST, Cluster, programs
from tests.live.servers import LiveServer
from tests.real_server import BINARY


def canned():
    responder = publishing.canned()
    try:
        port = int(responder.ask())
        publishing.run(port, key="key", with_peers=True, title="a canned responder")
    finally:
        responder.close()


def server():
    for kind in ["embedded", *(["centrifugo"] if BINARY else [])]:
        with tempfile.TemporaryDirectory() as folder:
            live = LiveServer(kind, Path(folder), http_api={"key": "key"})
            live.start()
            pin(live.process.pid, 0)
            try:
                publishing.run(live.port, key="key", with_peers=False, title=f"{kind} server")
            finally:
                live.kill()
    if not BINARY:
        print(
            "\nNo centrifugo on PATH or in CENTRIFUGO_BIN: only the embedded server was measured."
        )


@contextlib.contextmanager
def database():
    """Make the tests' database for a while."""
    made = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    try:
        yield
    finally:
        teardown_databases(made, verbosity=0)


def on_sqlite(run):
    """Return what measures on the tests' database."""

    def measure():
        with database():
            run()

    return measure


def on_both(name, run):
    """Return what measures on SQLite and, in a process of its own, on PostgreSQL."""

    def measure():
        on_sqlite(run)()
        if HOST not in os.environ:  # else we are the one that asks PostgreSQL
            again_on_postgres(name)

    return measure


def rows():
    on_both("outbox", outbox.run)()
    if HOST not in os.environ:
        outbox.latency()


def again_on_postgres(name):
    if programs() is None:
        print(ABSENT)
        return
    command = [sys.executable, "-m", "tests.benchmarks", name]
    with Cluster(programs()) as cluster:
        env = {HOST: str(cluster.folder), "DJANGO_SETTINGS_MODULE": "tests.postgres"}
        subprocess.run(command, env=os.environ | env, check=True)


def rights():
    if HOST not in os.environ:
        revoking.run()
    revoking_cost.run()


TABLES = {
    "canned": canned,
    "server": server,
    "outbox": rows,
    "queue": on_both("queue", queueing.run),
    "stored": on_both("stored", stored.run),
    "tokens": on_sqlite(granting.run),
    "revoking": on_both("revoking", rights),
    "policies": on_sqlite(policies.run_all),
    "fanout": fanout.run,
    "calls": calls.run,
    "asking": asking.run,
    "fragments": fragments.run,
    "lists": on_both("lists", lists.run),
    "saving": on_sqlite(saving.run),  # last: its model broadcasts from then on
}


def main():
    started = time.monotonic()
    if unknown := set(sys.argv[1:]) - set(TABLES):
        sys.exit(
            f"No table is called {', '.join(sorted(unknown))}. There are: {', '.join(TABLES)}."
        )
    for name in sys.argv[1:] or TABLES:
        TABLES[name]()
    print(f"\n{time.monotonic() - started:.0f} s. Use the ratios; the machine may be shared.")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
