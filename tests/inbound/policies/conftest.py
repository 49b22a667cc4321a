"""Caches that policies count in, and processes that call at the same moment."""

import contextlib
import json
import shutil
import subprocess
import time

import pytest
from django.core.cache import caches
from django.test import override_settings

from tests import interpreters
from tests.cluster import Cluster, programs
from tests.inbound.policies import asking
from tests.interpreters import Python
from tests.views.test_login_throttle_counts import SERVERS, running

DATABASE = "django.core.cache.backends.db.DatabaseCache"
TABLE = {"BACKEND": DATABASE, "LOCATION": "a_cache", "OPTIONS": {"MAX_ENTRIES": 100_000}}
KINDS = ["redis", "memcached", "sqlite", "postgresql"]


@pytest.fixture(autouse=True)
def memory(request):
    """A cache of the test's own."""
    options = {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": request.node.nodeid,
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
    with override_settings(CACHES={"default": options}):
        yield caches["default"]
        caches["default"].clear()


@pytest.fixture(params=asking.DRIVERS)
def ask(request, registry):
    """What asks a handler of the test, synchronously and not."""
    return asking.caller(request.param)


class Callers:
    """Processes that call one method together, from several threads each."""

    def __init__(self, given, folder):
        self.given = given | {"FOLDER": str(folder)}
        self.folder = folder
        self.processes = []

    def start(self, count=5):
        for _ in range(count):
            process = Python(
                ["-m", "tests.inbound.policies.callers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self.processes.append(process)
            self._tell(process, self.given)

    def begin(self, method, each=10, **more):
        """Call it ``each`` times in each process, all at the same moment."""
        for process in self.processes:
            self._tell(process, [method, each, more])
        for process in self.processes:
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            self._tell(process, "go")

    def answers(self):
        return [a for p in self.processes for a in json.loads(p.stdout.readline() or "[]")]

    def ask(self, method, **more):
        self.begin(method, **more)
        return self.answers()

    def ran(self):
        """How often a function ran, in all processes."""
        file = self.folder / "ran"
        return file.read_text().splitlines() if file.exists() else []

    def go(self):
        """Let functions return that wait for it."""
        (self.folder / "go").touch()

    def until_one_runs(self, count=1):
        """Wait till so many functions have begun."""
        deadline = time.monotonic() + 60
        while len(self.ran()) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self, pid):
        [process] = [p for p in self.processes if p.pid == pid]
        self.processes.remove(process)
        end(process)

    def stop(self):
        for process in self.processes:
            end(process)

    @staticmethod
    def _tell(process, line):
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()


def end(process):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@contextlib.contextmanager
def shared_cache(kind, folder):
    """Settings for processes that share a cache of a kind."""
    with contextlib.ExitStack() as stack:
        if kind in SERVERS:
            if shutil.which(SERVERS[kind][1][0]) is None:
                pytest.skip(f"no {kind} on PATH")
            yield {"CACHES": {"default": stack.enter_context(running(kind))}}
            return
        database = {"ENGINE": f"django.db.backends.{kind}3", "NAME": str(folder / "db.sqlite3")}
        if kind == "postgresql":
            if programs() is None:
                pytest.skip("no PostgreSQL on this machine")
            cluster = stack.enter_context(Cluster(programs(), max_connections=200))
            database = {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "postgres",
                "USER": "postgres",
                "HOST": str(cluster.folder),
            }
        else:
            database["OPTIONS"] = {"timeout": 20}
        make_table(database)
        yield {"CACHES": {"default": TABLE}, "DATABASES": {"default": database}}


def make_table(database):
    """In a process of its own: connections of this one are the test database's."""
    given = {"CACHES": {"default": TABLE}, "DATABASES": {"default": database}}
    program = (
        "import json, sys, django; from django.conf import settings;"
        "settings.configure(USE_TZ=True, **json.loads(sys.argv[1])); django.setup();"
        "from django.core.management import call_command; call_command('createcachetable')"
    )
    interpreters.run(["-c", program, json.dumps(given)], check=True)


@pytest.fixture(scope="module", params=KINDS)
def processes(request, tmp_path_factory):
    """Five processes that share a cache."""
    folder = tmp_path_factory.mktemp("shared")
    with shared_cache(request.param, folder) as given:
        found = Callers(given, folder)
        try:
            found.start()
            yield found
        finally:
            found.stop()


@pytest.fixture
def callers(processes):
    """The processes, of which nothing has run yet."""
    for name in ("ran", "go"):
        (processes.folder / name).unlink(missing_ok=True)
    processes.start(5 - len(processes.processes))
    return processes
