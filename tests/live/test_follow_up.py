"""
An attacker who ignores what the server says, against processes as in production.

They keep the socket, subscribe again and again with the token from just before the change,
and must be out for good within TOKEN_USE + 10 seconds of the commit, although the process that
made the change is gone at once.
"""

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.test import override_settings

from instant import publish
from instant.rights.tokens import Signer
from tests.forks import Forks
from tests.interpreters import Python
from tests.live.subscriber import Subscriber
from tests.ports import free_port
from tests.real_server import BINARY, KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

TOKEN_USE = 5
SETTINGS = """
from tests.settings import *
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/db.sqlite3",
                           "OPTIONS": {{"timeout": 20}}}}}}
CENTRIFUGO_HMAC_KEY = CENTRIFUGO_API_KEY = None
CENTRIFUGO_PORT = {port}
INSTANT = {{"DIR": "{folder}/centrifugo", "TOKEN_USE": {use}, "ALLOWED_ORIGINS": []}}
"""

SET_UP = """
from django.contrib.auth.models import Group, User
from instant.models import Channel
ann = User.objects.create_user("ann")
red = Group.objects.create(name="red")
ann.groups.add(red)
Channel.objects.create(name="$red", level="groups").groups.add(red)
print(ann.pk)
"""

CHANGE = """
import sys
from django.contrib.auth.models import User
ann = User.objects.get()
print("ready", flush=True)
sys.stdin.readline()
ann.groups.clear()
"""

DIES_BETWEEN = """
import os, signal
from instant.revoking import run
run.enforce = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
"""


class Site:
    def __init__(self, kind, folder):
        self.kind, self.port = kind, free_port()
        (folder / "site_settings.py").write_text(
            SETTINGS.format(folder=folder, port=self.port, use=TOKEN_USE)
        )
        self.settings = {
            "CENTRIFUGO_HMAC_KEY": None,
            "CENTRIFUGO_API_KEY": None,
            "CENTRIFUGO_PORT": self.port,
            "INSTANT": {
                "DIR": folder / "centrifugo",
                "TOKEN_USE": TOKEN_USE,
                "TIMEOUT": 60,
                "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
            },
        }
        path = os.pathsep.join([str(folder), str(Path.cwd())])
        self.env = os.environ | {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": path}
        if kind == "centrifugo":
            self.env["CENTRIFUGO_BIN"] = BINARY
        self._forks = Forks(self.env)
        self.run("migrate", "-v0")
        self.sub = self.run("shell", "-v0", "-c", SET_UP).split()[-1]

    def command(self, *arguments):
        return ["-m", "django", *arguments]

    def run(self, *arguments):
        done = self._forks.run("django", *arguments, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self):
        self._forks.close()

    def start(self, *arguments, **streams):
        return Python(self.command(*arguments), env=self.env, text=True, **streams)


WEB = """
import sys
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=KINDS)
def quiet(request, tmp_path):
    """A server that somebody else runs, and a web process that gets no request at all."""
    site = Site(request.param, tmp_path)
    site.run("syncws")
    config = str(tmp_path / "centrifugo" / "config.json")
    run, command = Python, ["-m", "instant.embedded", "--config", config]
    if request.param == "centrifugo":
        run, command = subprocess.Popen, [BINARY, "-c", config]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = run(command, cwd=tmp_path, **streams)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    web = Python(["-c", WEB], env=site.env, **pipes)
    with override_settings(**site.settings), web:
        until(lambda: connects(site), 30)
        assert web.stdout.readline() == "ready\n"
        yield site
        web.stdin.close()
        web.wait()
    server.terminate()
    server.wait()
    site.close()


@pytest.fixture(params=KINDS)
def site(request, tmp_path):
    site = Site(request.param, tmp_path)
    server = site.start(
        "runws", "--server", request.param, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with override_settings(**site.settings):
        until(lambda: connects(site), 60)
        yield site
    server.terminate()
    server.wait()
    site.close()


def until(holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def connects(site):
    try:
        Subscriber(f"ws://127.0.0.1:{site.port}/connection/websocket").close()
    except OSError:
        return False
    return True


class Attacker:
    def __init__(self, site):
        signer = Signer(SimpleNamespace(pk=site.sub, is_authenticated=True, is_active=True))
        self.socket = Subscriber(f"ws://127.0.0.1:{site.port}/connection/websocket")
        self.token = signer.channel_token("$red").value
        self.expires = signer.channel_token("$red").exp
        self.socket.connect(signer.connection_token().value)
        assert "subscribe" in self.socket.subscribe("$red", self.token)
        self._was_out = self.came_back = False

    def hears(self):
        """Publish, try to subscribe again, and tell whether the publication came."""
        publish("$red", data=1)
        pushes = [line["push"] for line in self.socket.pushes()]
        self._was_out |= any("unsubscribe" in push for push in pushes)
        reply = self.socket.subscribe("$red", self.token)
        self.came_back |= self._was_out and "subscribe" in reply
        return any("pub" in push for push in pushes)


@pytest.mark.timed
@pytest.mark.parametrize("how", ["exits at once", "is killed before it could say anything"])
def test_who_replays_tokens_is_out_for_good(site, how):
    attack(site, how)


@pytest.mark.timed
def test_on_a_quiet_site_too_whoever_runs_the_server(quiet):
    attack(quiet, "is killed before it could say anything")


def attack(site, how):
    code = CHANGE if how == "exits at once" else DIES_BETWEEN + CHANGE
    shell = site.start("shell", "-v0", "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with shell:
        assert shell.stdout.readline() == "ready\n"
        attacker = Attacker(site)
        assert attacker.hears()
        shell.stdin.write("\n")
        shell.stdin.flush()
        # At once, since the token is soon over: the process takes a while to end.
        while shell.poll() is None:
            attacker.hears()
    committed = last = time.monotonic()
    assert shell.returncode == (0 if how == "exits at once" else -9)
    # As long as the bound, and a second more: then it is for good.
    while time.monotonic() < committed + TOKEN_USE + 11:
        if attacker.hears():
            last, attacker.came_back = time.monotonic(), True
        time.sleep(0.1)
    assert attacker.came_back, "The attack did not even work."
    assert last - committed < TOKEN_USE + 10
    print(f"\n{site.kind}, the process {how}: out after {last - committed:.1f} s")
    attacker.socket.close()


ORDINARY = """
import time
from django.contrib.auth.models import Group, User
from django.db import OperationalError, connection, transaction
User.objects.create_user("bob")
ann, red = User.objects.get(username="ann"), Group.objects.get()
failed, begun = 0, time.monotonic()
for number in range(1000):
    if number % 10 == 0:
        ann.groups.remove(red)
        ann.groups.add(red)
    try:
        with transaction.atomic():
            count = User.objects.count()
            time.sleep(0.005)  # a view's work between what it reads and what it writes
            User.objects.filter(username="bob").update(first_name=f"{count} {number}")
    except OperationalError:
        failed += 1
from instant.models import Revocation
print(failed, Revocation.objects.count())
"""


def test_on_sqlite_no_ordinary_transaction_fails_beside_follow_ups(site):
    """With SQLite's default transactions, which fail at once where somebody writes in between."""
    failed, left = site.run("shell", "-v0", "-c", ORDINARY).split()[-2:]
    assert failed == "0"
    assert int(left) < 100, "Follow-ups were made meanwhile, and what is finished was deleted."
