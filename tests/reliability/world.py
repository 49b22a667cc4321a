"""A site with all that belongs to it, each in a process of its own that can be killed."""

import contextlib
import os
import random
import re
import subprocess
import time
from pathlib import Path

from django.contrib.auth.models import AnonymousUser
from django.test import override_settings

from instant.rights.tokens import Signer
from tests.cluster import Cluster, programs
from tests.forks import Forks
from tests.interpreters import Python
from tests.ports import free_port
from tests.real_server import BINARY
from tests.reliability.publisher import TABLE
from tests.reliability.reader import Page

SETTINGS = """
from tests.settings import *
INSTALLED_APPS = [*INSTALLED_APPS, "reliable"]
ROOT_URLCONF = "tests.reliability.web"
DATABASES = {{"default": {database}}}
CENTRIFUGO_HMAC_KEY = CENTRIFUGO_API_KEY = None
CENTRIFUGO_PORT = {port}
INSTANT = {instant}
"""
REALTIME = """
from datetime import timedelta
from instant import Namespace
from instant.deliveries import AtMostOnce, Latest, Recoverable, Stored

class Kept(Namespace):
    name, pattern, authorize = "kept", "<str:lane>", "open"
    delivery = Recoverable(size=20_000, ttl=timedelta(hours=1))

class Newest(Namespace):
    name, pattern, authorize = "newest", "<str:lane>", "open"
    delivery = Latest()

class Once(Namespace):
    name, pattern, authorize = "once", "<str:lane>", "open"
    delivery = AtMostOnce()

class Waits(Namespace):
    name, pattern, authorize = "waits", "<str:lane>", "open"
    delivery = Stored("store", size=20_000, ttl=timedelta(hours=1))
"""
OUTBOX = Path(__file__).resolve().parents[2] / "docs" / "outbox.md"
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
BACKENDS = {
    "http": {"BACKEND": "instant.backends.centrifugo.CentrifugoBackend"},
    "outbox": {"BACKEND": "instant.backends.outbox.OutboxBackend"},
    "both": {"BACKEND": "instant.backends.outbox.OutboxBackend", "OUTBOX_IMMEDIATE": True},
}


MIGRATED = {}
"""What migrate has made, made once: a file's content for SQLite, a cluster's folder."""

END = ("end", 1)
"""A message behind all others."""


class World:
    """
    Start everything with ``with World(…) as world``.

    ``server`` is “embedded” or “centrifugo”, ``database`` “sqlite” or “postgresql”, ``backend`` a
    key of BACKENDS, ``engine`` “memory”, which forgets when the server ends, “redis”, or “file”,
    the embedded server's.
    """

    def __init__(self, folder, *, server, database, backend, engine="memory"):
        self.folder, self.server, self.database = folder, server, database
        self.backend, self.engine = backend, engine
        self.port, self.web_port, self._redis_port = free_port(), free_port(), free_port()
        self._running = {}
        self._pages = []
        self._stack = contextlib.ExitStack()

    # --- set-up ---------------------------------------------------------------------------

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._stack = stack
            self._set_up()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception):
        for name in list(self._running):
            self.kill(name)
        self._stack.close()

    def _set_up(self):
        database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(self.folder / "db.sqlite3"),
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
        if self.database == "postgresql":
            cluster = Cluster(programs(), kept=MIGRATED.get("postgresql"), synchronous_commit="on")
            self.cluster = self._stack.enter_context(cluster)
            database = {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "postgres",
                "USER": "postgres",
                "HOST": str(self.cluster.folder),
            }
        instant = {
            "DIR": str(self.folder / "centrifugo"),
            "ALLOWED_ORIGINS": ["http://127.0.0.1:*"],
            **BACKENDS[self.backend],
        }
        if self.is_consumed:
            instant["OUTBOX_CONSUMER"] = (
                f"postgresql://centrifugo@/postgres?host={self.cluster.folder}"
            )
        if self.engine == "redis":
            instant["ENGINE"] = f"redis://127.0.0.1:{self._redis_port}"
            self.start("redis")
        (self.folder / "reliable").mkdir()
        (self.folder / "reliable" / "__init__.py").touch()
        (self.folder / "reliable" / "realtime.py").write_text(REALTIME)
        (self.folder / "site_settings.py").write_text(
            SETTINGS.format(database=database, port=self.port, instant=instant)
        )
        path = os.pathsep.join([str(self.folder), str(Path.cwd())])
        self._env = os.environ | {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": path}
        self._forks = Forks(self._env)
        self._stack.callback(self._forks.close)
        self._migrate()
        if self.is_consumed:  # as the documents say
            [grants] = re.findall(r"```sql\n(.*?)```", OUTBOX.read_text(), re.DOTALL)
            self._sql(grants)
        self._manage("syncws")
        self._stack.enter_context(
            override_settings(
                CENTRIFUGO_HMAC_KEY=None, CENTRIFUGO_API_KEY=None, INSTANT={"DIR": instant["DIR"]}
            )
        )
        self.start("server")
        if self.backend != "http":
            self.start("relay")

    def _migrate(self):
        path = self.folder / "db.sqlite3"
        if self.database not in MIGRATED:
            self._manage("migrate", "-v0")
            self._sql(TABLE)
            MIGRATED[self.database] = (
                path.read_bytes() if self.database == "sqlite" else self.cluster.keep()
            )
        elif self.database == "sqlite":
            path.write_bytes(MIGRATED["sqlite"])

    def _manage(self, *arguments):
        done = self._forks.run("django", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _sql(self, sql):
        code = f"from django.db import connection as c; c.cursor().execute({sql!r})"
        self._manage("shell", "-v0", "-c", code)

    @property
    def is_consumed(self):
        """Whether Centrifugo itself reads the outbox."""
        return self.backend != "http" and (self.server, self.database) == (
            "centrifugo",
            "postgresql",
        )

    # --- processes ------------------------------------------------------------------------

    def start(self, name, *arguments):
        """Start “server”, “relay”, “redis” or a publisher, which has arguments, and wait until it serves."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = self._started(name, arguments, log)
        ports = {"server": self.port, "redis": self._redis_port, "web": self.web_port}
        port = ports.get(name)
        if port:
            until(lambda: answers(port), name)

    def _started(self, name, arguments, log):
        command = getattr(self, f"_{name}_command", None)
        if command:
            run, arguments = command()
            env = None if name == "redis" else self._env
            return run(arguments, env=env, **{**QUIET, "stderr": log})
        command = ["tests.reliability.publisher", name, *arguments]
        if name == "relay":
            command = ["django", "relay_outbox"]
        return self._forks.start_silent(*command, stderr=log)

    def _server_command(self):
        config = str(self.folder / "centrifugo" / "config.json")
        if self.server == "centrifugo":
            return subprocess.Popen, [BINARY, "-c", config]
        data = ["--data", str(self.folder / "histories")] if self.engine != "memory" else []
        return Python, ["-m", "instant.embedded", "--config", config, *data]

    def _web_command(self):
        # With threads: a browser's idle connections would each hold a worker.
        options = ["-w", "3", "--threads", "8", "-b", f"127.0.0.1:{self.web_port}"]
        return Python, ["-m", "gunicorn", *options, "tests.reliability.web"]

    def _redis_command(self):
        options = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]
        place = ["--port", str(self._redis_port), "--dir", str(self.folder)]
        return subprocess.Popen, ["redis-server", *place, *options]

    def pid(self, name):
        return self._running[name].pid

    def kill(self, name):
        """Kill -9."""
        if name == "database":
            self.cluster.kill()
            return
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def come_back(self, name):
        """Start what was killed."""
        if name == "database":
            self.cluster.start()
        elif name.startswith("p"):
            self.start(name, *self._publishing[name])
        else:
            self.start(name)

    # --- what is done with it -------------------------------------------------------------

    def page(self, *channels):
        """Open a page."""
        url = f"ws://127.0.0.1:{self.port}/connection/websocket"
        page = Page(url, channels, lambda: Signer(AnonymousUser()))
        page.start()
        self._stack.callback(page.close)
        self._pages.append(page)
        assert page.wait(lambda page: all(page.joined.values()))
        return page

    def publish(self, *channels, publishers=1):
        """Let each publisher commit messages, each for one of its own channels in turn."""
        self._end = self.folder / "end"
        self._publishing = {
            f"p{n}": (str(self._end), *(f"{channel}{n}" for channel in channels))
            for n in range(publishers)
        }
        for name, arguments in self._publishing.items():
            self.start(name, *arguments)
        for page in self._pages:  # all of them have begun
            assert page.wait(lambda page: all(map(page.began, range(publishers))))

    def published(self):
        """Let the publishers end."""
        self._end.touch()
        for name in list(self._publishing):
            process = self._running.pop(name)
            assert process.wait(300) == 0, (self.folder / f"{name}.log").read_text()

    def facts(self):
        """Return what was committed, by channel, in the order of each publisher."""
        code = (
            "from django.db import connection as c; k = c.cursor(); "
            "k.execute('SELECT channel, publisher, number FROM fact ORDER BY publisher, number'); "
            "print(*(' '.join(map(str, row)) for row in k.fetchall()), sep=chr(10))"
        )
        return self._listed(code)

    def stored(self):
        """Return what is stored, by channel, in its order."""
        code = (
            "from instant.models import Message; "
            "told = [(m.channel, m.payload['data']) for m in Message.objects.all()]; "
            'print(*(f\'{c} {d["publisher"]} {d["number"]}\' for c, d in told), sep=chr(10))'
        )
        return self._listed(code)

    def _listed(self, code):
        found = {}
        for line in self._manage("shell", "-v0", "-c", code).split("\n"):
            if line:
                channel, publisher, number = line.split()
                found.setdefault(channel, []).append((publisher, int(number)))
        return found


def answers(port):
    import socket

    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def until(holds, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def at_random(shortest=0.05, longest=0.3):
    """Wait for a moment that nobody has chosen."""
    time.sleep(random.uniform(shortest, longest))


def moments(page, times):
    """Yield so many times, each after a random number of further messages on the page."""
    for _ in range(times):
        wanted = count(page) + random.randint(1, 60)
        assert page.wait(lambda page, n=wanted: count(page) >= n)
        yield


def count(page):
    return sum(map(len, page.messages.values()))


def lost(page, facts, *, is_ordered=True):
    """Return what never came, by channel; fail where something came that should not, or out of order."""
    found = {}
    for channel, messages in page.messages.items():
        got = [message for message in messages if message != END]
        assert len(got) == len(set(got)), f"{channel}: twice"
        assert got == sorted(got) or not is_ordered, f"{channel}: out of order: {got}"
        known = set(facts.get(channel, ()))
        assert not set(got) - known, f"{channel}: published, and never committed"
        found[channel] = known - set(got)
    return found
