"""What a call costs that a page makes: over its connection, and as a request of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import date
from http.client import HTTPConnection
from pathlib import Path

from websockets.sync.client import connect

from instant.centrifugo.config.proxies import compile_proxies
from instant.centrifugo.proxy import KINDS, RPC
from instant.inbound.arguments import Arguments
from instant.rights.tokens import Signer
from tests.benchmarks.timing import median_of, rounds, table, verdict
from tests.live.servers import LiveServer, use
from tests.ports import free_port
from tests.real_server import BINARY

SECRET = "bench-secret-0123456789-0123456789"
DATA = {"product": 7, "quantity": 3}
COUNT, TIMES = 100, 9
MOST = 1.5
"""How much a call may take, compared with a request and one round trip to the server."""

SETUP = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
user = get_user_model().objects.create_user("ann")
client = Client()
client.force_login(user)
print(user.pk, client.cookies["sessionid"].value)
"""


class Site:
    """Gunicorn with one worker and four threads."""

    def __init__(self, folder):
        env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.called.settings",
            "BENCH_DATABASE": str(folder / "db.sqlite3"),
        }
        done = subprocess.run(
            [sys.executable, "-c", SETUP], env=env, capture_output=True, text=True, check=True
        )
        self.user, self.session = done.stdout.split()
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--workers", "1",
                "--threads", "4", "--keep-alive", "60", "--log-level", "error",
                "django.core.wsgi:get_wsgi_application()",
            ],
            env=env,
        )  # fmt: skip
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.05)
        raise RuntimeError("gunicorn does not listen")

    def close(self):
        self.process.terminate()
        self.process.wait()


class User:
    """Whom a token is signed for: as much of a user as that takes."""

    is_authenticated = is_active = True

    def __init__(self, pk):
        self.pk = pk


class Page:
    """A connection as a page has it, and one of its own to Django."""

    def __init__(self, site, server):
        with use(server):
            token = Signer(User(site.user)).connection_token().value
        self.socket = connect(server.url, origin="http://testserver", compression=None)
        self.number = 0
        assert "connect" in self.ask(connect={"token": token})
        self.http = HTTPConnection("127.0.0.1", site.port)
        self.session = site.session

    def ask(self, **command):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, **command}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                return answer
            if not answer:  # a ping
                self.socket.send("{}")

    def call(self, method):
        return self.ask(rpc={"method": method, "data": DATA})["rpc"]["data"]

    def hop(self):
        """Ask what the server answers itself."""
        return self.ask(unsubscribe={"channel": "nothing"})

    def request(self, path, **headers):
        body = json.dumps(DATA)
        headers = {"Content-Type": "application/json", "Host": "localhost", **headers}
        self.http.request("POST", path, body, headers)
        response = self.http.getresponse()
        assert response.status == 200
        return json.loads(response.read())

    def close(self):
        self.socket.close()
        self.http.close()


def run():
    validation()
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            for kind in ["embedded", *(["centrifugo"] if BINARY else [])]:
                round_trips(kind, site)
        finally:
            site.close()


def round_trips(kind, site):
    with tempfile.TemporaryDirectory() as folder:
        server = LiveServer(kind, Path(folder))
        base = f"http://localhost:{site.port}/instant/proxy"
        urls = {kind: f"{base}/{kind}/" for kind in (*KINDS, RPC)}
        config = compile_proxies(json.loads(server.path.read_text()), urls, secret=SECRET)
        server.path.write_text(json.dumps(config))
        server.start()
        page = Page(site, server)
        try:
            measure(kind, page)
        finally:
            page.close()
            server.kill()


def measure(kind, page):
    cookie = {"Cookie": f"sessionid={page.session}"}
    assert page.call("total") == page.request("/total/")
    assert page.call("mine") == page.request("/mine/", **cookie)
    found = rounds(
        {
            "round trip to the server": lambda: median_of(page.hop, COUNT),
            "view over HTTP, kept alive": lambda: median_of(lambda: page.request("/total/"), COUNT),
            "handler, for everybody": lambda: median_of(lambda: page.call("total"), COUNT),
            "view with a user": lambda: median_of(lambda: page.request("/mine/", **cookie), COUNT),
            "handler, for users": lambda: median_of(lambda: page.call("mine"), COUNT),
        },
        count=TIMES,
    )
    table(f"a call from a page, {kind}", found, "view over HTTP, kept alive")
    hop = found["round trip to the server"]
    for handler, view in [
        ("handler, for everybody", "view over HTTP, kept alive"),
        ("handler, for users", "view with a user"),
    ]:
        ratio = found[handler] / (found[view] + hop)
        verdict(f"{handler}: {ratio:.2f} × the same view and a round trip", ratio <= MOST)


def validation():
    def order(
        call, product: int, quantity: int, price: float, name: str, street: str,
        city: str, when: date, gift: bool, tags: list[str], note: str | None = None,
    ): ...  # fmt: skip

    arguments = Arguments(order)
    payload = {
        "product": 7, "quantity": 3, "price": 9.5, "name": "Ann", "street": "Main St 1",
        "city": "Lyon", "when": "2026-11-26", "gift": False, "tags": ["a", "b"], "note": None,
    }  # fmt: skip
    assert len(arguments.read(payload, {})) == 10
    found = rounds(
        {"10 fields": lambda: median_of(lambda: arguments.read(payload, {}), 2000)}, count=TIMES
    )
    table("a payload checked against annotations", found, "10 fields")
    verdict("at most 0.05 ms", found["10 fields"] <= 0.05)
