"""The message server that starts with the web server, in projects of their own."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from instant.centrifugo.binary import lifeline, process
from instant.centrifugo.binary.supervisor import GRACE_VARIABLE
from tests.ports import free_port
from tests.real_server import BINARY, KINDS
from tests.servers import RawServer, answering

pytestmark = pytest.mark.slow  # starts processes

SECONDS = 40  # on a busy machine
GRACE = 2.0
"""Seconds for which a server goes on alone, where a test waits for its end and nobody comes back."""
REALTIME = """
from instant import Namespace, deliveries

class Orders(Namespace):
    name = "{name}"
    pattern = "<int:pk>"
    authorize = "{authorize}"
    def can_subscribe(self, user, pk):
        return True
"""


STARTED = []


class Project:
    """A project from startproject with the lines of the README."""

    def __init__(self, folder, kind):
        self.folder = folder
        self.kind = kind
        self.port, self.ws_port = free_port(), free_port()
        self.env = {
            k: v
            for k, v in os.environ.items()
            if k not in {"DJANGO_SETTINGS_MODULE", "CENTRIFUGO_BIN", "RUN_MAIN"}
        }
        self.env["PYTHONUNBUFFERED"] = "1"
        if kind == "centrifugo":
            self.env["CENTRIFUGO_BIN"] = BINARY
        self.processes = []
        self.log = folder / "said.log"
        if not STARTED:  # once: all get the same files
            folder.mkdir()
            self.run("-m", "django", "startproject", "mysite", ".")
            STARTED.append(
                {path.relative_to(folder): path.read_text() for path in folder.rglob("*.py")}
            )
        for path, text in STARTED[0].items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self.append(
            "mysite/settings.py",
            f'INSTALLED_APPS += ["instant", "mysite"]\nCENTRIFUGO_PORT = {self.ws_port}\n',
        )
        self.append(
            "mysite/urls.py",
            'from django.urls import include\nurlpatterns += [path("instant/", include("instant.urls"))]\n',
        )

    def ends_soon(self):
        """Let a server that is left alone end soon; for tests in which nobody comes back to it."""
        self.env[GRACE_VARIABLE] = str(GRACE)

    def append(self, file, text):
        with (self.folder / file).open("a") as opened:
            opened.write(f"\n{text}")

    def run(self, *arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *command, python=sys.executable):
        with self.log.open("a") as output:
            started = subprocess.Popen(
                [python, *command],
                cwd=self.folder, env=self.env, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.processes.append(started)
        return started

    def runserver(self, *arguments):
        return self.start("manage.py", "runserver", *arguments, str(self.port))

    def gunicorn(self, *arguments):
        pytest.importorskip("gunicorn")
        return self.start(
            "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{self.port}",
            *arguments, "mysite.wsgi",
        )  # fmt: skip

    @property
    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def lines(self):
        return re.findall(r"^Instant: (.*)$", self.said, re.MULTILINE)

    @property
    def server(self):
        return process.read_pid(self.folder / "centrifugo")

    @property
    def supervisor(self):
        stat = Path(f"/proc/{self.server}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])

    def wait_for(self, check):
        return wait_for(check, lambda: self.said)

    def wait_for_line(self, part, count=1):
        self.wait_for(lambda: sum(part in line for line in self.said.splitlines()) >= count)

    def change(self, file, text, part):
        """Write the file, and again from time to time: the reloader may not look yet."""
        written = 0.0

        def seen():
            nonlocal written
            if part in self.said[before:]:
                return True
            if time.monotonic() - written > 8:
                file.write_text(text)
                written = time.monotonic()
            return False

        before = len(self.said)
        self.wait_for(seen)

    def wait_for_site(self):
        self.wait_for(lambda: listens(self.port))

    def wait_for_server(self, other_than=None):
        self.wait_for(lambda: self.server not in {None, other_than} and listens(self.ws_port))
        return self.server

    def stop(self):
        for started in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait(SECONDS)
        folder = self.folder / "centrifugo"
        if folder.exists():
            lifeline.ask_to_stop(folder)
            wait_for(lambda: lifeline.holder(folder) is None)


def wait_for(check, explain=lambda: ""):
    until = time.monotonic() + SECONDS
    while not (found := check()):
        assert time.monotonic() < until, explain()
        time.sleep(0.05)  # between two looks at another process
    return found


def listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def lives(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(params=KINDS)
def project(request, tmp_path):
    made = Project(tmp_path / "site", request.param)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def embedded(tmp_path):
    made = Project(tmp_path / "site", "embedded")
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("reload", [(), ("--noreload",)], ids=["reloader", "noreload"])
def test_runserver_starts_it_once_and_says_so_and_ctrl_c_ends_it(project, reload):
    project.ends_soon()
    site = project.runserver(*reload)
    server = project.wait_for_server()
    project.wait_for_line("with the web server.")
    project.wait_for_site()
    [line] = project.lines()
    assert f"ws://127.0.0.1:{project.ws_port}/" in line
    assert ("Centrifugo" if project.kind == "centrifugo" else "Embedded") in line.split("(")[0]
    os.killpg(site.pid, signal.SIGINT)  # as a terminal does
    site.wait(SECONDS)
    project.wait_for(lambda: not lives(server))
    assert not listens(project.ws_port)
    project.wait_for(lambda: lifeline.holder(project.folder / "centrifugo") is None)


def test_no_orphan_of_what_is_killed(project):
    project.ends_soon()
    site = project.runserver()
    server = project.wait_for_server()
    supervisor = project.supervisor
    os.killpg(site.pid, signal.SIGKILL)
    began = time.monotonic()
    project.wait_for(lambda: not lives(server) and not lives(supervisor))
    assert time.monotonic() - began > GRACE / 2  # it waited for somebody to come back


@pytest.mark.parametrize("which", ["server", "supervisor"])
def test_a_killed_server_is_started_again(project, which):
    project.runserver("--noreload")
    project.wait_for_line("with the web server.")
    server = project.server
    os.kill(getattr(project, which), signal.SIGKILL)
    began = time.monotonic()
    assert project.wait_for_server(other_than=server)
    project.wait_for(lambda: not lives(server))
    project.wait_for_line("with the web server.", 2)
    assert time.monotonic() - began < 10


def test_the_server_survives_a_reload_and_reads_what_changed(project):
    realtime = project.folder / "mysite" / "realtime.py"
    realtime.write_text(REALTIME.format(name="orders", authorize="token"))
    project.runserver()
    project.wait_for_line("with the web server.")
    project.wait_for_site()
    server = project.server
    with socket.create_connection(("127.0.0.1", project.ws_port)) as held:
        bills = REALTIME.format(name="bills", authorize="token")
        project.change(realtime, bills, "has reloaded its config")
        assert project.server == server
        held.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert held.recv(8) == b"HTTP/1.1"
    assert '"bills"' in (project.folder / "centrifugo" / "config.json").read_text()
    project.change(realtime, "this is no Python", "SyntaxError")
    assert project.server == server
    # A proxy that the running server doesn't know of.
    bills = REALTIME.format(name="bills", authorize="proxy")
    project.change(realtime, bills, "was restarted, since its settings changed")
    assert project.wait_for_server(other_than=server)
    assert not lives(server)


def test_processes_that_differ_share_the_server_of_the_latest(embedded):
    """One that has it no more takes the other's, and both go on; not each its own, in turns."""
    embedded.runserver("--noreload")
    embedded.wait_for_line("with the web server.")
    first = embedded.server
    served = ("manage.py", "runserver", "--noreload")
    names = [Path(sys.executable).with_name(name) for name in ("python", "python3")]
    for name in names:  # what calls them, as the first line of a script, is not one name
        embedded.start(*served, str(free_port()), python=str(name))
    embedded.wait_for_line("goes on.", 2)
    assert embedded.server == first
    embedded.env["CENTRIFUGO_LOG_LEVEL"] = "error"
    embedded.start(*served, str(free_port()))
    embedded.wait_for_line("was restarted, since its settings changed")
    second = embedded.wait_for_server(other_than=first)
    embedded.wait_for_line("that another process has started is used", 3)
    assert embedded.said.count("was restarted") == 1
    assert embedded.server == second


def test_two_projects_and_a_stranger_on_the_port(embedded, tmp_path):
    other = Project(tmp_path / "other", "embedded")
    other.append("mysite/settings.py", f"CENTRIFUGO_PORT = {embedded.ws_port}\n")
    try:
        embedded.runserver()
        embedded.wait_for_server()
        other.runserver()
        other.wait_for_line("No message server was started")
        [line] = other.lines()
        assert f"port {embedded.ws_port} is held by another" in line
        [free] = re.findall(r"set CENTRIFUGO_PORT = (\d+) in the settings", line)
        assert other.server is None
        other.append("mysite/settings.py", f"CENTRIFUGO_PORT = {free}\n")
        other.ws_port = int(free)
        other.wait_for_server()
    finally:
        other.stop()


def test_a_stranger_on_the_port_is_named_and_when_it_leaves_the_server_starts(embedded):
    with RawServer(answering, port=embedded.ws_port):
        embedded.runserver("--noreload")
        embedded.wait_for_line(f"port {embedded.ws_port} is held by another program")
        assert embedded.server is None
    embedded.wait_for_server()


def test_runws_takes_its_place_and_gives_it_back(embedded):
    embedded.runserver("--noreload")
    first = embedded.wait_for_server()
    runws = embedded.start("manage.py", "runws")
    second = embedded.wait_for_server(other_than=first)
    embedded.wait_for_line("already runs at")
    assert not lives(first)
    assert runws.poll() is None
    runws.terminate()
    runws.wait(SECONDS)
    assert embedded.wait_for_server(other_than=second)
    embedded.wait_for_line("with the web server.", 2)


def test_nothing_starts_where_it_is_off(embedded):
    embedded.append("mysite/settings.py", 'INSTANT = {"AUTOSTART": False}\n')
    embedded.runserver("--noreload")
    embedded.wait_for_site()
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{embedded.port}/").close()
    assert not (embedded.folder / "centrifugo").exists()
    assert embedded.lines() == []


def test_nothing_starts_with_other_commands(embedded):
    embedded.append("mysite/settings.py", 'INSTANT = {"AUTOSTART": True}\n')
    for command in (
        ("migrate", "-v0"), ("check",), ("shell", "-c", "import time; time.sleep(1)"), ("test",),
        ("runserver", "--help"),
    ):  # fmt: skip
        embedded.run("manage.py", *command)
    assert not (embedded.folder / "centrifugo").exists()


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_a_worker_that_is_killed_costs_no_connection(project, preload):
    project.append(
        "mysite/settings.py", 'DEBUG, ALLOWED_HOSTS = False, ["*"]\nINSTANT = {"AUTOSTART": True}\n'
    )
    master = project.gunicorn(*preload)
    server = project.wait_for_server()  # without a request
    supervisor = project.supervisor
    children = set(workers(master.pid)) - {supervisor}
    for worker in children:
        os.kill(worker, signal.SIGKILL)
    project.wait_for(lambda: any(map(holds_on, set(workers(master.pid)) - children - {supervisor})))
    assert project.server == server
    os.kill(supervisor, signal.SIGKILL)
    began = time.monotonic()
    project.wait_for(lambda: project.server not in {None, server} and listens(project.ws_port))
    assert time.monotonic() - began < 10  # about 1 s; the machine may be busy
    second = project.server
    master.terminate()
    master.wait(SECONDS)
    project.wait_for(lambda: not lives(second))


def test_workers_that_are_recycled_leave_the_server_alone(embedded):
    """The same process goes on, and so do the connections to it."""
    embedded.append(
        "mysite/settings.py", 'DEBUG, ALLOWED_HOSTS = False, ["*"]\nINSTANT = {"AUTOSTART": True}\n'
    )
    master = embedded.gunicorn("--max-requests", "6")
    server = embedded.wait_for_server()
    embedded.wait_for_site()
    seen = set()
    for _ in range(24):
        seen |= {*workers(master.pid)}
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{embedded.port}/").close()
        assert embedded.server == server
    assert len(seen) > 2  # two at a time
    assert listens(embedded.ws_port)


ASGI = {
    "uvicorn": ("-m", "uvicorn", "mysite.asgi:application", "--port"),
    "uvicorn with workers": (
        "-m",
        "uvicorn",
        "mysite.asgi:application",
        "--workers",
        "2",
        "--port",
    ),
    "daphne": ("-m", "daphne", "mysite.asgi:application", "--port"),
    "daphne's runserver": ("manage.py", "runserver", "--noreload"),
}


@pytest.mark.parametrize("how", ASGI)
def test_asgi_servers_start_it_too(embedded, how):
    pytest.importorskip(how.partition(" ")[0].removesuffix("'s"))
    embedded.append("mysite/settings.py", 'INSTANT = {"AUTOSTART": True}\n')
    if how == "daphne's runserver":
        embedded.append(
            "mysite/settings.py",
            'INSTALLED_APPS = ["daphne", *INSTALLED_APPS]\nASGI_APPLICATION = "mysite.asgi.application"\n',
        )
    embedded.ends_soon()
    site = embedded.start(*ASGI[how], str(embedded.port))
    server = embedded.wait_for_server()
    embedded.wait_for_site()
    os.killpg(site.pid, signal.SIGINT)
    site.wait(SECONDS)
    embedded.wait_for(lambda: not lives(server))


def holds_on(pid):
    with contextlib.suppress(OSError):
        return any(
            str(file.readlink()).endswith("server.lifeline")
            for file in Path(f"/proc/{pid}/fd").iterdir()
        )
    return False


def workers(pid):
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in children.split()]
    return []


READ_BACK = """
from instant.backends import get_backend
from instant.centrifugo.api.channel_state import history
print(history(get_backend().client(), "orders:1", 5, limit=10))
"""


def test_histories_survive_where_a_file_is_named(embedded):
    embedded.append("mysite/settings.py", 'INSTANT = {"DATA": "history.db"}\n')
    (embedded.folder / "mysite" / "realtime.py").write_text(
        REALTIME.format(name="orders", authorize="token")
    )
    embedded.runserver("--noreload")
    server = embedded.wait_for_server()
    embedded.run("manage.py", "shell", "-c", "import instant; instant.publish('orders:1', 'kept')")
    os.kill(embedded.supervisor, signal.SIGKILL)
    embedded.wait_for_server(other_than=server)
    said = embedded.run("manage.py", "shell", "-c", READ_BACK)
    assert "kept" in said


@pytest.mark.skipif(not lifeline.SUPPORTED, reason="no named pipes")
def test_another_host_with_the_same_folder_is_not_joined(embedded):
    folder = embedded.folder / "centrifugo"
    folder.mkdir()
    with lifeline.unforked:
        claim = lifeline.take(folder)
    claim.note(host="other.example")
    try:
        embedded.runserver("--noreload")
        embedded.wait_for_line("other.example runs one, and shares")
        assert not listens(embedded.ws_port)
    finally:
        claim.close()
