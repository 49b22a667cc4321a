"""What half a minute without work costs a site: gunicorn with two workers, on SQLite and PostgreSQL."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from instant.centrifugo.config.defaults import compile_config
from tests import interpreters
from tests.cluster import ABSENT, Cluster, programs
from tests.interpreters import Python
from tests.ports import free_port

pytestmark = pytest.mark.slow

SECONDS = 30
WORKERS = 2
SETTINGS = """
from tests.settings import *
DATABASES = {{"default": {database}}}
if {used}:
    INSTALLED_APPS = [*INSTALLED_APPS, "idle_app"]
CENTRIFUGO_HMAC_KEY = CENTRIFUGO_API_KEY = None
CENTRIFUGO_PORT = {port}
# So that each site has a place of its own for its lock, however long the folder's path is.
BASE_DIR = "{folder}"
INSTANT = {{"DIR": "{folder}/centrifugo",
           "BACKEND": "instant.backends.centrifugo.CentrifugoBackend"}}
"""
REALTIME = """
from instant import Namespace

class Order(Namespace):
    name = "order"
    pattern = "<int:pk>"
    depends_on = {"auth.Group": lambda group: {"pk": group.pk}}

    def can_subscribe(self, user, pk):
        return user.groups.filter(pk=pk).exists()
"""
APPLICATION = """
import os, signal, threading
from django.core.wsgi import get_wsgi_application
from django.db.backends.signals import connection_created

FOLDER = os.path.dirname(__file__)

def note(execute, sql, params, many, context):
    with open(f"{FOLDER}/queries-{os.getpid()}", "a") as file:
        file.write(sql.replace("\\n", " ") + "\\n")
    return execute(sql, params, many, context)

def threads(*_):
    with open(f"{FOLDER}/part-{os.getpid()}", "w") as file:
        file.write("\\n".join(sorted(t.name for t in threading.enumerate())))
    os.rename(f"{FOLDER}/part-{os.getpid()}", f"{FOLDER}/threads-{os.getpid()}")

connection_created.connect(
    lambda connection, **_: connection.execute_wrappers.append(note), weak=False
)
application = get_wsgi_application()
signal.signal(signal.SIGUSR2, threads)
open(f"{FOLDER}/threads-{os.getpid()}.wanted", "w").close()
"""
SET_UP = """
from instant.models import Channel
Channel.objects.create(name="news", level="public")
"""


class Site:
    """A site with two workers, that tells what its processes do."""

    def __init__(self, name, folder, database, port, *, used):
        self.name, self.folder, self._port = name, folder, free_port()
        (folder / "centrifugo").mkdir(parents=True)
        config = compile_config({}, allowed_origins=[], audience="tests", port=port)
        path = folder / "centrifugo" / "config.json"
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        settings = SETTINGS.format(database=database, folder=folder, port=port, used=used)
        (folder / "idle_settings.py").write_text(settings)
        (folder / "idle_wsgi.py").write_text(APPLICATION)
        (folder / "idle_app").mkdir()
        (folder / "idle_app" / "__init__.py").touch()
        (folder / "idle_app" / "realtime.py").write_text(REALTIME)
        python_path = os.pathsep.join([str(folder), str(Path.cwd())])
        env = os.environ | {"DJANGO_SETTINGS_MODULE": "idle_settings", "PYTHONPATH": python_path}
        for arguments in [["migrate", "-v0"], *([["shell", "-v0", "-c", SET_UP]] if used else [])]:
            interpreters.run(["-m", "django", *arguments], env=env, check=True)
        address = f"127.0.0.1:{self._port}"
        self._process = Python(
            ["-m", "gunicorn", "-w", str(WORKERS), "-b", address,
             "idle_wsgi:application"],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self):
        until(lambda: len(self.workers()) == WORKERS)
        for _ in range(10):  # each worker gets some
            for where in ("instant/get_token/", "instant/history/?channel=x"):
                with contextlib.suppress(requests.ConnectionError):
                    requests.get(f"http://127.0.0.1:{self._port}/{where}", timeout=60)
        return self

    def __exit__(self, *_exception):
        self._process.terminate()
        self._process.wait(60)

    def workers(self):
        return [int(path.stem.partition("-")[2]) for path in self.folder.glob("threads-*.wanted")]

    def forget(self):
        for path in self.folder.glob("queries-*"):
            path.unlink()

    def queries(self):
        """Return by worker what the database was asked since forget()."""
        return {
            path.name.partition("-")[2]: path.read_text().splitlines()
            for path in self.folder.glob("queries-*")
        }

    def threads(self):
        """Return the names of all threads of ours, in all workers."""
        found = []
        for pid in self.workers():
            path = self.folder / f"threads-{pid}"
            os.kill(pid, signal.SIGUSR2)
            until(path.exists)
            found += [name for name in path.read_text().splitlines() if "instant" in name]
        return found


def until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def sites(tmp_path):
    """The same on both databases: one that uses nothing of Instant's rights, and one that does."""
    from tests.live.servers import LiveServer

    if programs() is None:
        pytest.skip(ABSENT)
    with contextlib.ExitStack() as stack:
        live = LiveServer("embedded", tmp_path)
        live.start()
        stack.callback(live.kill)
        found = {}
        for used in (False, True):
            cluster = stack.enter_context(Cluster(programs()))
            databases = {
                "SQLite": {
                    "ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / f"{used}.db")
                },
                "PostgreSQL": {
                    "ENGINE": "django.db.backends.postgresql", "NAME": "postgres",
                    "USER": "postgres", "HOST": str(cluster.folder),
                },
            }  # fmt: skip
            for name, database in databases.items():
                folder = tmp_path / f"{name}-{used}"
                site = Site(name, folder, database, live.port, used=used)
                found[name, used] = stack.enter_context(site)
        yield found


def test_half_an_idle_minute(sites):
    until(lambda: all(bool(site.threads()) == used for (_, used), site in sites.items()))
    for site in sites.values():
        site.forget()
    threading.Event().wait(SECONDS)
    for (name, used), site in sites.items():
        queries, threads = site.queries(), site.threads()
        counted = {pid: len(asked) for pid, asked in queries.items()}
        print(f"\n{name}, {'rules and rows' if used else 'neither'}: {counted}, {threads}")
        if not used:
            assert queries == {}
            assert threads == []
            continue
        assert threads == ["instant-looker"] * WORKERS
        [asked] = queries.values()  # the other's thread waits for the lock
        assert 0 < len(asked) <= 12 * SECONDS / 5, asked
