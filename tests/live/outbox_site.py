"""A project with the outbox, in processes of its own."""

import json
import os
import subprocess
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import psycopg
from django.test import override_settings

from instant.rights.tokens import Signer
from tests.forks import Forks
from tests.interpreters import Python
from tests.live.servers import LiveServer
from tests.live.subscriber import Subscriber

PATIENCE = 60
MIGRATED = {}
"""What migrate makes, made once: a file's content for SQLite, a database's name for each cluster."""

SETTINGS = """
from tests.settings import *
DATABASES = {{"default": {database}}}
CENTRIFUGO_HMAC_KEY = CENTRIFUGO_API_KEY = None
CENTRIFUGO_PORT = {port}
CENTRIFUGO_HOST = "http://127.0.0.1"
INSTANT = {{"DIR": "{folder}", "BACKEND": "instant.backends.outbox.OutboxBackend",
            "ALLOWED_ORIGINS": ["http://testserver"], "AUTOSTART": True}}
"""


class Site:
    """A project with a database of its own, and a server that is another process."""

    def __init__(self, kind, database, folder, cluster):
        self.kind, self.folder, self.server = kind, folder, LiveServer(kind, folder)
        self.database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{folder}/db.sqlite3",
            "OPTIONS": {"timeout": 20},
        }
        if database == "postgresql":
            self.database = {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": f"s{uuid.uuid4().hex}",
                "USER": "postgres",
                "HOST": str(cluster.folder),
            }
        (folder / "site_settings.py").write_text(self.settings())
        path = os.pathsep.join([str(folder), str(Path.cwd())])
        self.env = os.environ | {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": path}
        self.running = []
        self._forks = Forks(self.env)
        if database == "postgresql":
            self._on_postgresql(cluster)
        else:
            self._on_sqlite()

    def settings(self):
        """Return the project's settings; its processes are forks of one that has read them."""
        return SETTINGS.format(database=self.database, folder=self.folder, port=self.server.port)

    def _on_sqlite(self):
        if "sqlite" not in MIGRATED:
            self.run("migrate", "-v0")
            MIGRATED["sqlite"] = Path(self.database["NAME"]).read_bytes()
        Path(self.database["NAME"]).write_bytes(MIGRATED["sqlite"])

    def _on_postgresql(self, cluster):
        """Copy the first one's database, as it was when it was migrated."""
        first = MIGRATED.get(cluster)
        with psycopg.connect(
            host=self.database["HOST"], user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            name = self.database["NAME"]
            if first is None:
                connection.execute(f"CREATE DATABASE {name}")
                self.run("migrate", "-v0")
                MIGRATED[cluster] = first = f"{name}_first"
                connection.execute(f"CREATE DATABASE {first} TEMPLATE {name}")
            else:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE {first}")

    def run(self, *arguments, code=0):
        done = self._forks.run("django", *arguments, timeout=PATIENCE)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def shell(self, source, code=0):
        return self.run("shell", "-v0", "-c", source, code=code)

    def start(self, *arguments):
        process = self._forks.start("django", *arguments)
        self.running.append(process)
        return process

    def start_anew(self, *arguments):
        """Start what looks at its own command line before all else, as runserver."""
        process = Python(
            ["-m", "django", *arguments],
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.running.append(process)
        return process

    def relay(self):
        process = self.start("relay_outbox", "--skip-checks")
        assert process.stdout.readline().startswith("Sending")
        return process

    def said(self, process, text):
        """Wait until the process has said something; it may say more."""
        for line in process.stdout:
            if text in line:
                return
        raise AssertionError(f"It ended with {process.wait()} and never said {text!r}.")

    def subscriber(self, *channels):
        user = SimpleNamespace(pk=1, is_authenticated=True, is_active=True)
        keys = json.loads(self.server.path.read_text())
        with override_settings(
            CENTRIFUGO_HMAC_KEY=keys["client"]["token"]["hmac_secret_key"],
            INSTANT={"DIR": self.folder},
        ):
            signer = Signer(user)
            found = Subscriber(self.server.url)
            assert "connect" in found.connect(signer.connection_token().value)
            for channel in channels:
                reply = found.subscribe(channel, signer.channel_token(channel).value)
                assert "subscribe" in reply, reply
        return found

    def waiting(self):
        text = self.run("relay_outbox", "--status")
        return int(text.partition("Waiting: ")[2].split()[0].rstrip(","))

    def wait_until_sent(self):
        until = time.monotonic() + PATIENCE
        while self.waiting():
            assert time.monotonic() < until
            time.sleep(0.05)  # between two looks at the relay's work

    def close(self):
        for process in self.running:
            process.kill()
            process.wait()
            process.stdout.close()
        self._forks.close()
        self.server.kill()
