"""
``make bench``: all tables, or those named.

There are canned, server, outbox, queue, stored, tokens, revoking, policies, fanout, calls, asking
and saving.
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
    granting,
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


def tokens():
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    try:
        granting.run()
    finally:
        teardown_databases(databases, verbosity=0)


def rows():
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    try:
        outbox.run()
    finally:
        teardown_databases(databases, verbosity=0)
    if HOST in os.environ:  # we are the one that asks PostgreSQL
        return
    again_on_postgres("outbox")
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
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    try:
        if HOST in os.environ:  # we are the one that asks PostgreSQL
            revoking_cost.run()
            return
        revoking.run()
        revoking_cost.run()
    finally:
        teardown_databases(databases, verbosity=0)
    again_on_postgres("revoking")


def handlers():
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    try:
        policies.run_all()
    finally:
        teardown_databases(databases, verbosity=0)


def jobs():
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    try:
        queueing.run()
    finally:
        teardown_databases(databases, verbosity=0)
    if HOST not in os.environ:  # else we are the one that asks PostgreSQL
        again_on_postgres("queue")


def kept():
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    try:
        stored.run()
    finally:
        teardown_databases(databases, verbosity=0)
    if HOST not in os.environ:  # else we are the one that asks PostgreSQL
        again_on_postgres("stored")


def saves():
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    try:
        saving.run()
    finally:
        teardown_databases(databases, verbosity=0)


TABLES = {
    "canned": canned,
    "server": server,
    "outbox": rows,
    "queue": jobs,
    "stored": kept,
    "tokens": tokens,
    "revoking": rights,
    "policies": handlers,
    "fanout": fanout.run,
    "calls": calls.run,
    "asking": asking.run,
    "saving": saves,  # last: its model broadcasts from then on
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
