"""
Two tenants of django-tenants on one server, with users of equal primary keys.

Everything is a process of its own, as in production: PostgreSQL, the web server with its looker,
the message server, and whoever makes a change.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import psycopg
import pytest
import requests

from tests import cluster
from tests.forks import Forks
from tests.interpreters import Python
from tests.live.subscriber import PATIENCE, Subscriber
from tests.ports import free_port
from tests.real_server import BINARY, KINDS
from tests.test_cluster import is_installed

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason=cluster.ABSENT),
]

ROOT = Path(__file__).resolve().parents[2]
TENANTS = ("acme", "globex")

SET_UP = """
from django.contrib.auth.models import Group, User
from instant.models import Channel
from instant.tenants import SchemaTenants
from tests.tenancy.customers.models import Customer, Domain
public = Customer.objects.create(schema_name="public", name="public")
Domain.objects.create(domain="127.0.0.1", tenant=public)
for name in ("acme", "globex"):
    customer = Customer.objects.create(schema_name=name, name=name)
    Domain.objects.create(domain=f"{name}.localhost", tenant=customer)
for name in SchemaTenants().all():
    with SchemaTenants().activate(name):
        Channel.objects.create(name="$users", level="users")
        red = Group.objects.create(name="red")
        Channel.objects.create(name="$red", level="groups").groups.add(red)
        Group.objects.create(name="order-1")
"""

# Each test begins with this: what another has taken away is given back.
BEGIN = """
from django.contrib.auth.models import Group, User
from instant.models import Revocation
from instant.tenants import SchemaTenants
for name in SchemaTenants().all():
    with SchemaTenants().activate(name):
        Revocation.objects.all().delete()
        user, made = User.objects.get_or_create(username=f"{name}-user")
        assert user.pk == 1, user.pk
        if made:
            user.set_password("pw")
            user.save()
        user.groups.set(Group.objects.filter(name__in=["red", *["order-1"] * (name == "acme")]))
"""

LEFT = """
from instant.models import Revocation
from instant.tenants import SchemaTenants
for name in SchemaTenants().all():
    with SchemaTenants().activate(name):
        print(name, Revocation.objects.count())
"""

DIES_BETWEEN = """
import os, signal
from instant.revoking import run
run.enforce = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
"""

LEAVES = """
from django.contrib.auth.models import User
from instant.tenants import SchemaTenants
with SchemaTenants().activate({tenant!r}):
    User.objects.get().groups.clear()
"""


ASKS = """
from instant.backends import get_backend
from instant.centrifugo.api.commands import Channels, Presence
from instant.tenancy.commands import in_own_names
from instant.tenants import SchemaTenants
with SchemaTenants().activate("acme"):
    asked = [Channels("*"), Channels("user:*"), Channels("$*"), Presence("$users")]
    for found in in_own_names(get_backend().client()).run(asked, 60):
        print(*sorted(found))
"""


PUBLISHES_ROWS = """
from django.db import transaction
from instant import publish
from instant.backends import replaced
from instant.backends.outbox import OutboxBackend
from instant.models import OutboxRow
from instant.tenants import SchemaTenants
for name in ("acme", "globex"):
    with SchemaTenants().activate(name), replaced(OutboxBackend()):
        with transaction.atomic():
            publish("$users", f"for {name}")
        print(name, OutboxRow.objects.count())
"""

RELAYS = """
import time
from instant.backends import replaced
from instant.backends.outbox import OutboxBackend
from instant.publishing.outbox import running, state
from instant.publishing.outbox.relay import Relay
with replaced(OutboxBackend()):
    looker = running.watch(is_embedded=True)
    while state.count().waiting:
        time.sleep(0.05)
    looker.stop()
    print(state.count().waiting)
"""


class Site:
    def __init__(self, kind, folder, postgres):
        self.kind, self.folder = kind, folder
        self.port, self.web = free_port(), free_port()
        given = {"postgres": postgres, "folder": str(folder), "port": self.port, "web": self.web}
        self.env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.tenancy.customers.settings",
            "INSTANT_TESTS_TENANTS": json.dumps(given),
            "PYTHONPATH": str(ROOT),
        }
        self._forks = Forks(self.env)

    def command(self, *arguments):
        return ["-m", "django", *arguments]

    def run(self, *arguments, code=0):
        done = self._forks.run("django", *arguments, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout or done.stderr

    def close(self):
        self._forks.close()

    def shell(self, script, **kwargs):
        return self.run("shell", "-v0", "-c", script, **kwargs)

    @contextlib.contextmanager
    def running(self, command, port):
        run = subprocess.Popen if command[0] == BINARY else Python
        process = run(
            command, cwd=ROOT, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until(lambda: answers(port) or process.poll() is not None, 60)
            assert process.poll() is None
            yield
        finally:
            process.terminate()
            process.wait()

    def page(self, tenant):
        return Page(self, tenant)

    def rows(self):
        return dict(line.split() for line in self.shell(LEFT).splitlines())


class Page:
    """A page of the tenant's user number 1."""

    def __init__(self, site, tenant):
        self._site, self.tenant = site, tenant
        session = requests.Session()
        self.answer = self._post(session, "login", {"username": f"{tenant}-user", "password": "pw"})
        asked = self._post(
            session, "get_token", {"channels": ["$users", "$red", "user:1", "order:1"]}
        )
        self.tokens = {one["name"]: one.get("token") for one in asked["channels"]}
        self.socket = Subscriber(f"ws://127.0.0.1:{site.port}/connection/websocket")
        assert "connect" in self.socket.connect(asked["ws_token"])

    def _post(self, session, view, body):
        answer = session.post(
            f"http://127.0.0.1:{self._site.web}/instant/{view}/",
            json=body,
            headers={"Host": f"{self.tenant}.localhost", "Sec-Fetch-Site": "same-origin"},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        # The jar knows the host that was asked, and not the header.
        session.cookies.update({c.name: c.value for c in answer.cookies})
        session.headers["Cookie"] = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
        return answer.json()

    def subscribe(self, name, on_server):
        return self.socket.subscribe(on_server, self.tokens.get(name))


def until(holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def postgres():
    with cluster.Cluster(cluster.programs()) as started:
        yield str(started.folder)


@pytest.fixture(scope="module", params=KINDS)
def running(request, tmp_path_factory, postgres):
    site = Site(request.param, tmp_path_factory.mktemp(request.param), postgres)
    with psycopg.connect(
        host=postgres, user="postgres", dbname="postgres", autocommit=True
    ) as made:
        made.execute("DROP DATABASE IF EXISTS tenants WITH (FORCE)")
        made.execute("CREATE DATABASE tenants")
    site.run("migrate_schemas", "--shared", "-v0")
    site.shell(SET_UP)
    site.run("syncws")
    config = str(site.folder / "config.json")
    server = [BINARY, "-c", config]
    if request.param == "embedded":
        server = ["-m", "instant.embedded", "--config", config]
    web = site.command("runserver", "--noreload", "--skip-checks", f"127.0.0.1:{site.web}")
    with site.running(server, site.port), site.running(web, site.web):
        yield site
    site.close()


@pytest.fixture
def site(running):
    running.shell(BEGIN)
    return running


@pytest.fixture
def pages(site):
    found = {name: site.page(name) for name in TENANTS}
    yield found
    for page in found.values():
        page.socket.close()


def test_a_message_reaches_the_tenants_own_users_only(site, pages):
    acme, globex = pages.values()
    assert acme.answer["prefix"] == "acme/"
    for page in (acme, globex):
        for name, on_server in [("$users", "${}/users"), ("user:1", "user:{}/1")]:
            reply = page.subscribe(name, on_server.format(page.tenant))
            assert "subscribe" in reply, reply
    site.run("tenant_command", "publish", "--schema=acme", "$users", "for acme")
    site.run("tenant_command", "publish", "--schema=acme", "user:1", "for user 1")
    got = acme.socket.publications(2)
    assert [(channel, data["channel"], data["message"]) for channel, data in got] == [
        ("$acme/users", "$users", "for acme"),
        ("user:acme/1", "user:1", "for user 1"),
    ]
    assert globex.socket.quiet()


def test_rows_of_the_outbox_are_sent_whosever_they_are(site, pages):
    """Each tenant has a table of its own; runws sends them without being in any."""
    for page in pages.values():
        assert "subscribe" in page.subscribe("$users", f"${page.tenant}/users")
    assert site.shell(PUBLISHES_ROWS).split() == ["acme", "1", "globex", "1"]
    relay = site.shell(RELAYS)
    for page in pages.values():
        [(_, data)] = page.socket.publications(1)
        assert (data["message"], data["channel"]) == (f"for {page.tenant}", "$users")
        assert page.socket.quiet()
    assert relay.split()[-1] == "0"


def test_the_server_tells_of_the_tenants_own_channels_and_users(site, pages):
    for page in pages.values():
        for name, on_server in [("$users", "${}/users"), ("user:1", "user:{}/1")]:
            assert "subscribe" in page.subscribe(name, on_server.format(page.tenant))
    assert "subscribe" in pages["acme"].socket.subscribe("order:acme/1")
    assert site.shell(ASKS).splitlines() == ["$users order:1 user:1", "user:1", "$users", "1"]


def test_async_views_publish_in_their_tenant(site, pages):
    """On the event loop no connection tells which one that is."""
    for page in pages.values():
        assert "subscribe" in page.subscribe("$users", f"${page.tenant}/users")
    port = free_port()
    web = [
        *("-m", "uvicorn", "--port", str(port)),
        "tests.tenancy.customers.asgi:application",
    ]
    with site.running(web, port):
        answer = requests.get(
            f"http://127.0.0.1:{port}/hello/", headers={"Host": "globex.localhost"}, timeout=60
        )
    assert answer.status_code == 200
    got = pages["globex"].socket.publications(2)
    assert [data["message"] for _, data in got] == ["hello", "hello again"]
    assert pages["acme"].socket.quiet()


def test_no_token_is_good_for_the_other_tenant(site, pages):
    acme, globex = pages.values()
    stolen = globex.tokens["$users"]
    for channel in ("$acme/users", "$globex/users", "$users"):
        socket = site.page("acme").socket
        socket.tell(subscribe={"channel": channel, "token": stolen})
        assert socket.close_code() == 3500
    assert "subscribe" in acme.subscribe("$users", "$acme/users")


def test_the_server_asks_for_the_tenant_of_channel_and_user(site, pages):
    """PROXY_URL's host is the shared part's; acme's user 1 has order 1, and globex's hasn't."""
    acme, globex = pages.values()
    assert "subscribe" in acme.socket.subscribe("order:acme/1")
    for page, channel in [
        (globex, "order:globex/1"),
        (globex, "order:acme/1"),
        (acme, "order:globex/1"),
        (acme, "order:1"),
        (acme, "order:nosuch/1"),
    ]:
        reply = page.socket.subscribe(channel)
        assert reply["error"]["code"] in {103, 403}, (page.tenant, channel, reply)
    reply = acme.socket.ask(publish={"channel": "order:acme/1", "data": {"message": "mine"}})
    assert "publish" in reply, reply
    assert acme.socket.publications(1)[0][1]["message"] == "mine"


@pytest.mark.parametrize("first", TENANTS)
def test_who_leaves_a_group_is_out_in_that_tenant_only(site, pages, first):
    """Also where the process that made the change was killed before it could say anything."""
    leaving, staying = pages[first], pages[next(name for name in TENANTS if name != first)]
    for page in (leaving, staying):
        assert "subscribe" in page.subscribe("$red", f"${page.tenant}/red")
    site.shell(DIES_BETWEEN + LEAVES.format(tenant=first), code=-signal.SIGKILL)
    assert leaving.socket.push("unsubscribe")["channel"] == f"${first}/red"
    assert staying.socket.quiet()
    # The follow-up is made too, in the schema where the row is.
    until(lambda: site.rows() == {"acme": "0", "globex": "0"}, 60)
    assert staying.socket.quiet()


def test_follow_ups_are_made_in_each_schema(site, pages):
    for page in pages.values():
        assert "subscribe" in page.subscribe("$red", f"${page.tenant}/red")
    for name in TENANTS:
        site.shell(LEAVES.format(tenant=name))
    for page in pages.values():
        assert page.socket.push("unsubscribe")["channel"] == f"${page.tenant}/red"
        assert page.socket.close_code() == 4000  # what the rule of a namespace says now, it asks
        assert "$red" not in site.page(page.tenant).tokens
    until(lambda: site.rows() == {"acme": "0", "globex": "0"}, 60)


def test_commands_work_in_a_tenant_and_for_all(site):
    told = site.run("tenant_command", "channels", "--schema=acme", "--for", "acme-user", "$red")
    assert "in the group red" in told
    for command in (["channels"], ["channels", "--for", "ann"], ["listen", "$users"]):
        assert "tenant_command" in site.run(*command, code=1)
    assert site.run("enforce", "--sweep").endswith("(not due yet, or to be tried again).\n")
    listening = Python(
        site.command("tenant_command", "listen", "--schema=acme", "$users", "--as", "acme-user"),
        cwd=ROOT, env=site.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    # Else a message that never comes would be waited for without end.
    patience = threading.Timer(PATIENCE, listening.kill)
    patience.start()
    with listening:
        assert "Listening" in listening.stderr.readline()
        site.run("tenant_command", "publish", "--schema=globex", "$users", "for globex")
        site.run("tenant_command", "publish", "--schema=acme", "$users", "for acme")
        assert json.loads(listening.stdout.readline())["message"] == "for acme"
        listening.send_signal(signal.SIGINT)
        patience.cancel()
