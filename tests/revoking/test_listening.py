"""On PostgreSQL the looker is woken by any process of any host, and its connection is looked after."""

import os
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tests import interpreters
from tests.cluster import ABSENT, Cluster, programs
from tests.interpreters import Python

SETTINGS = """
import os
from tests.settings import *
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres",
    "HOST": os.environ["PG_FOLDER"], "OPTIONS": {"application_name": os.environ["PG_NAME"]},
}}
INSTANT = {"DIR": "/nonexistent/instant", "SWEEP": None,
           "BACKEND": "instant.backends.centrifugo.CentrifugoBackend"}
"""

LOOKER = """
import os, sys, tempfile, threading
import django
django.setup()
from instant.revoking import follow_up, looker
looker._EVERY, looker._IDLE = float(os.environ["EVERY"]), float(os.environ["IDLE"])
if "DEAF" in os.environ:
    looker.Looker._listen = lambda self: None

def enforce(affected, **_):
    print("checked", *(sorted(one.reconnects)[0] for one in affected), flush=True)
    return [None] * len(affected)

def look():
    found = follow_up.look()
    if "DEAF" in os.environ:
        print("looked", flush=True)
    return found

follow_up.enforce = enforce
is_needed = threading.Event()
is_needed.set()
one = looker.Looker(look, is_needed.is_set, lambda: "default")
one.start()
print("started", flush=True)
sys.stdin.readline()
is_needed.clear()
one._thread.join(60)
print("ended", flush=True)
sys.stdin.readline()
"""

CHANGE = """
import sys
import django
django.setup()
from django.db import transaction
from instant.revoking import run
from instant.revoking.affected import Affected
with transaction.atomic():
    # More than somebody's request may take: it is left to whoever looks.
    run.revoke(Affected(reconnects={sys.argv[1], *map(str, range(600))}))
"""


@pytest.fixture(scope="module")
def cluster():
    if programs() is None:
        pytest.skip(ABSENT)
    with Cluster(programs()) as running:
        yield running


class Site:
    def __init__(self, cluster, folder):
        self.cluster = cluster
        (folder / "listening.py").write_text(SETTINGS)
        self._path = os.pathsep.join([str(folder), str(Path.cwd())])
        self._folder, self._lookers = folder, []
        interpreters.run(["-m", "django", "migrate", "-v0"], env=self.env("migrate"), check=True)
        self.ask("DELETE FROM instant_revocation")

    def env(self, name, **more):
        # A host of its own each: no socket beside the lock may wake the looker.
        temporary = self._folder / name
        temporary.mkdir(exist_ok=True)
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "listening",
            "PYTHONPATH": self._path,
            "PG_FOLDER": str(self.cluster.folder),
            "PG_NAME": name,
            "TMPDIR": str(temporary),
            **more,
        }

    def ask(self, sql, *values):
        address = f"host={self.cluster.folder} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            found = connection.execute(sql, values)
            return found.fetchone()[0] if found.description else None

    def looker(self, **env):
        process = Python(
            ["-c", LOOKER], env=self.env("looker", **env), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._lookers.append(process)
        assert process.stdout.readline() == "started\n"
        return process

    def change(self, name):
        interpreters.run(["-c", CHANGE, name], env=self.env("change"), check=True, timeout=60)

    def listening(self):
        """Return how many connections of the looker have just begun to listen."""
        return self.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'looker'"
            " AND query ILIKE 'listen%%'"
        )

    def connected(self):
        return self.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'looker'")

    def close(self):
        for process in self._lookers:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


@pytest.fixture
def site(cluster, tmp_path):
    site = Site(cluster, tmp_path)
    yield site
    site.close()


def until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_change_of_another_process_wakes_it_also_after_a_restart_of_the_database(site):
    """It would look by itself in ten minutes."""
    looker = site.looker(EVERY="600", IDLE="600")
    until(lambda: site.listening() == 1)
    site.change(" first")
    assert looker.stdout.readline() == "checked  first\n"
    site.cluster.restart()
    until(lambda: site.listening() == 1)
    assert site.connected() == 1
    site.change(" second")
    assert looker.stdout.readline() == "checked  second\n"


def test_its_connection_ends_with_what_it_is_needed_for(site):
    looker = site.looker(EVERY="0.1", IDLE="600")
    until(lambda: site.listening() == 1)
    looker.stdin.write("\n")
    looker.stdin.flush()
    assert looker.stdout.readline() == "ended\n"
    until(lambda: site.connected() == 0)


def test_one_that_can_not_listen_keeps_no_connection_while_it_has_nothing_to_do(site):
    looker = site.looker(DEAF="1", EVERY="0.5", IDLE="0")
    for _ in range(3):
        assert looker.stdout.readline() == "looked\n"
        until(lambda: site.connected() == 0)
