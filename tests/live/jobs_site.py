"""A project with queued calls: web server, message server and workers, each a process of its own."""

import contextlib
import json
import socket
import sqlite3
import time
from types import SimpleNamespace

from django.test import override_settings

from instant.rights.tokens import Signer
from tests.live.outbox_site import PATIENCE, Site
from tests.live.subscriber import Subscriber
from tests.ports import free_port

SETTINGS = """
INSTALLED_APPS = [*INSTALLED_APPS, {apps}"reports"]
CENTRIFUGO_PROXY_SECRET = None
INSTANT = {{"DIR": "{folder}", "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
            "ALLOWED_ORIGINS": ["http://testserver"], "AUTOSTART": False,
            "PROXY_URL": "http://127.0.0.1:{web}", "TIMEOUT": 20,
            "JOBS": {{"RUNNER": "{runner}", "LEASE": {lease}}}}}
{more}
"""

REALTIME = """
import time
from pathlib import Path
from django.db import transaction
from instant import on_rpc, responder

FOLDER = Path("{folder}")

def begun(name):
    with (FOLDER / f"{{name}}.begun").open("a") as file:
        file.write("x")

def until(call, name):
    while not (FOLDER / f"{{name}}.go").exists():
        call.check()
        time.sleep(0.01)

@on_rpc("report.build", queue="bulk", anonymous=True)
def build(call, name: str, waits: bool = False):
    begun(name)
    call.progress(0.4, "reading")
    if waits:
        until(call, name)
    return {{"name": name}}

@responder("build", anonymous=True)
def answer(call, name: str, waits: bool = False):
    return build(call, name, waits)

@responder("nothing")
def nothing(call):
    return None

@responder("sleep")
def sleep(call):
    time.sleep(0.05)

@on_rpc("report.locked", queue="bulk")
def locked(call, name: str):
    with transaction.atomic():
        call.user.__class__.objects.filter(pk=call.user.pk).update(first_name="x")
        call.progress(0.5, "in a transaction")
        until(call, name)
    return "done"

@on_rpc("report.count", queue="bulk")
def count(call, upto: int):
    for number in range(upto):
        call.progress(number)
        call.check()
        time.sleep(0.002)
    return upto

@on_rpc("noted", queue="bulk", priority=-5)
def noted(call, name: str):
    with (FOLDER / "noted").open("a") as file:
        file.write(name + " ")

@on_rpc("urgent", queue="{urgent}", priority=50)
def urgent(call, name: str):
    noted(call, name)
"""


class JobsSite(Site):
    """What the tests of queued calls start and kill."""

    def __init__(
        self, kind, database, folder, cluster, *, runner="runjobs", lease=5, apps="", more="",
        urgent="bulk", migrate=False, init="",
    ):  # fmt: skip
        self.web_port = free_port()
        self.web = None
        self._more = {"lease": lease, "runner": runner, "apps": apps, "more": more}
        app = folder / "reports"
        app.mkdir()
        (app / "__init__.py").write_text(init)
        (app / "realtime.py").write_text(REALTIME.format(folder=folder, urgent=urgent))
        super().__init__(kind, database, folder, cluster)
        if migrate:
            self.run("migrate", "-v0")
        self.shell(
            "from django.contrib.auth import get_user_model as m; "
            "m().objects.create_user('ann'); m().objects.create_user('bob')"
        )
        self.run("syncws")

    def settings(self):
        more = SETTINGS.format(folder=self.folder, web=self.web_port, **self._more)
        return super().settings() + more

    def serve(self):
        """Start the web server and wait until it listens."""
        self.web = self.start_anew("runserver", "--noreload", "--skip-checks", f"{self.web_port}")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.web_port), 1).close()
                return
            assert self.web.poll() is None, self.web.stdout.read()
            time.sleep(0.02)
        raise AssertionError("The web server doesn't listen.")

    def worker(self, *arguments):
        process = self.start("runjobs", "--skip-checks", *arguments)
        assert process.stdout.readline().startswith("Running")
        return process

    def answering(self, *arguments, name="build"):
        """Start a worker of requests."""
        process = self.start("runworker", name, "--skip-checks", *arguments)
        assert process.stdout.readline().startswith("Answering")
        return process

    def ask(self, page, **data):
        """Ask the responder as a page and subscribe to the answer; return the ticket's id."""
        return self.follow(page, "instant.request", name="build", data=data)

    def page(self, pk=1):
        """Connect as a user; None for a visitor."""
        keys = json.loads(self.server.path.read_text())
        user = SimpleNamespace(pk=pk, is_authenticated=pk is not None, is_active=True)
        with override_settings(
            CENTRIFUGO_HMAC_KEY=keys["client"]["token"]["hmac_secret_key"],
            INSTANT={"DIR": self.folder},
        ):
            token = Signer(user).connection_token().value
        found = Subscriber(self.server.url)
        assert "connect" in found.connect(token)
        return found

    def call(self, page, method, **data):
        answer = page.ask(rpc={"method": method, "data": data})
        assert "rpc" in answer, answer
        return answer["rpc"]["data"]

    def follow(self, page, method, **data):
        """Call a method that is queued and subscribe to its ticket; return the ticket's id."""
        ticket = self.call(page, method, **data)["instant:ticket"]
        reply = page.subscribe(ticket["channel"], ticket["token"])
        assert "subscribe" in reply, reply
        # What was published before we came is in the reply, as the latest.
        for publication in reply["subscribe"].get("publications", []):
            page._lines.append(
                {"push": {"channel": ticket["channel"], "pub": {"data": publication["data"]}}}
            )
        return ticket["id"]

    def states(self, page, upto):
        """Return what the page is told of its ticket, until it says this state."""
        found = []
        while not found or found[-1]["state"] != upto:
            [(_, data)] = page.publications(1)
            # The server that was lost and is back tells of messages that were missed, too.
            if data.get("event_class") == "instant:ticket":
                found.append(data["data"])
        return found

    def let_go(self, name):
        (self.folder / f"{name}.go").touch()

    def begun(self, name):
        """Return how often a job has begun."""
        path = self.folder / f"{name}.begun"
        return len(path.read_text()) if path.exists() else 0

    def wait_for(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def rows(self, *fields):
        """Return fields of all tickets, oldest first; asked without a process of Django's."""
        question = f"SELECT {', '.join(fields)} FROM instant_ticket ORDER BY created_at"
        with contextlib.closing(self._connect()) as connection:
            return [list(row) for row in connection.execute(question).fetchall()]

    def _connect(self):
        if self.database["ENGINE"].endswith("sqlite3"):
            return sqlite3.connect(self.database["NAME"], timeout=PATIENCE)
        import psycopg

        given = self.database
        return psycopg.connect(host=given["HOST"], user=given["USER"], dbname=given["NAME"])
