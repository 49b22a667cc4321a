"""
Streams with processes that are killed, on the embedded server and on Centrifugo.

The text that pages put together is what the database says, whatever dies.
"""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.cluster import Cluster, programs
from tests.live.outbox_site import PATIENCE, Site
from tests.ports import free_port

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

SETTINGS = """
from tests.settings import *
from instant import Namespace
DATABASES = {{"default": {database}}}
CENTRIFUGO_HMAC_KEY = CENTRIFUGO_API_KEY = None
CENTRIFUGO_PORT = {port}
CENTRIFUGO_HOST = "http://127.0.0.1"
ROOT_URLCONF = "site_urls"
INSTANT = {{"DIR": "{folder}", "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
            "ALLOWED_ORIGINS": ["http://testserver"]}}
"""

URLS = """
import threading
from django.http import HttpResponse
from django.urls import path
from instant.streams import stream

async def answer(request):
    async with stream("answer") as out:
        for n in range(200):
            await out.write(f"{n} ")
    return HttpResponse(out.state)

def in_a_thread(request):
    def write():
        from django.db import connections
        with stream("answer") as out:
            for n in range(200):
                out.write(f"{n} ")
        connections.close_all()
    threading.Thread(target=write).start()
    return HttpResponse("begun")

urlpatterns = [path("async/", answer), path("thread/", in_a_thread)]
"""

WRITES = """
import sys, time
from instant.streaming import rows
from instant.streams import stream
rows.BEAT = 0.2
with stream("answer", resume={resume}) as out:
    for n in range({first}, {last}):
        out.write(f"{{n}} 🎈 ")
        time.sleep(0.002)  # a model that thinks
    print("written", flush=True)
    sys.stdin.readline() if {waits} else None
print(out.state, flush=True)
"""

# What is written fast and followed by nothing arrives all the same, and the lease is renewed.
WAITS = """
import threading
from instant.exceptions import StreamCancelled
from instant.streaming import rows
from instant.streams import stream
rows.BEAT = 0.2
with stream("answer") as out:
    out.write("One, ")
    out.write("two")
    print("written", flush=True)
    until = threading.Event()
    while True:
        until.wait(0.05)
        out.write("")
print(out.state, flush=True)
"""

LOG = """
import time
from instant.models import StreamChunk
from instant.streams import read, stream
lines = [f"{n:08} {'x' * 90}\\n" for n in range(21_000)]
began = time.monotonic()
with stream("answer") as out:
    for line in lines:
        out.write(line)
took = time.monotonic() - began
assert read("answer") == ("".join(lines), "done")
print(took, StreamChunk.objects.count())
"""

READ = """
import json, time
from instant.streaming import rows
from instant.streams import read
rows.LEASE = {lease}
until = time.monotonic() + 60
while (found := read("answer")).state == {until!r} and time.monotonic() < until:
    time.sleep(0.05)
print(json.dumps(found))
"""


class StreamSite(Site):
    def settings(self):
        (self.folder / "site_urls.py").write_text(URLS)
        return SETTINGS.format(database=self.database, folder=self.folder, port=self.server.port)

    def read(self, *, until="", lease=10.0):
        """Return text and state as another process finds them, when the state is another one."""
        return tuple(json.loads(self.shell(READ.format(until=until, lease=lease))))

    def write(self, first, last, *, resume=False, waits=False):
        code = WRITES.format(first=first, last=last, resume=resume, waits=waits)
        return self.start("shell", "-v0", "-c", code)


@pytest.fixture(scope="module")
def cluster():
    found = programs()
    if found is None:
        yield None
        return
    with Cluster(found) as running:
        yield running


PAIRS = [
    pytest.param(("embedded", "sqlite"), id="embedded-sqlite"),
    pytest.param(("embedded", "postgresql"), id="embedded-postgresql"),
    pytest.param(
        ("centrifugo", "postgresql"), id="centrifugo-postgresql", marks=pytest.mark.real_server
    ),
]


@pytest.fixture(params=PAIRS)
def site(request, tmp_path, cluster):
    kind, database = request.param
    if database == "postgresql" and cluster is None:
        pytest.skip("PostgreSQL is not installed on this machine.")
    found = StreamSite(kind, database, tmp_path, cluster)
    try:
        found.server.start()
        yield found
    finally:
        found.close()


def text(first, last):
    return "".join(f"{n} 🎈 " for n in range(first, last))


class Page:
    """Puts together what it hears, and fails where something is missing or doubled."""

    def __init__(self, site):
        self.subscriber = site.subscriber("answer")
        self.text, self.state, self.messages, self.alive = "", "", 0, 0

    @property
    def length(self):
        return len(self.text.encode("utf-16-le")) // 2

    def hear(self, done):
        while not done():
            [(_, payload)] = self.subscriber.publications(1)
            part = payload["data"]
            self.messages += 1
            self.alive += "alive" in part
            assert part["at"] == self.length
            self.text += part["text"]
            self.state = part.get("state", "writing")


def test_a_writer_that_is_killed_leaves_an_end_that_others_continue(site):
    page = Page(site)
    writer = site.write(0, 100_000)
    page.hear(lambda: page.length > 300)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    # Whoever looks says so to everybody, once the lease is over.
    kept, state = site.read(until="writing", lease=2.0)
    assert state == "interrupted"
    assert kept.startswith(page.text)
    assert text(0, 100_000).startswith(kept)
    page.hear(lambda: page.state == "interrupted")
    assert page.text == kept
    following = kept.count("🎈")
    assert site.write(following, following + 100, resume=True).wait(PATIENCE) == 0
    page.hear(lambda: page.state == "done")
    assert (page.text, page.state) == site.read()
    assert page.text == kept + text(following, following + 100)
    page.subscriber.close()


def test_a_writer_that_waits_is_alive_and_hides_nothing(site):
    page = Page(site)
    writer = site.start("shell", "-v0", "-c", WAITS)
    page.hear(lambda: page.text == "One, two")
    for _ in range(3):
        assert site.read(lease=2.0) == ("One, two", "writing")
    site.shell("from instant.streams import cancel; assert cancel('answer')")
    page.hear(lambda: page.state == "cancelled")
    site.said(writer, "cancelled")
    assert writer.wait(PATIENCE) == 0
    assert site.read() == ("One, two", "cancelled")
    page.subscriber.close()


SILENT = """
import threading
from instant.streaming import rows
from instant.streams import stream
rows.BEAT, rows.SIGN = 0.1, 0.15
with stream("answer") as out:
    out.write("Wait")
    print("written", flush=True)
    threading.Event().wait()
"""

OFFSET = """
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
print([one["offset"] for one in channel_state.positions(get_backend().client(), ["answer"], 5)][0])
"""


def test_a_silent_writer_gives_signs_of_which_the_history_knows_nothing(site):
    page = Page(site)
    writer = site.start("shell", "-v0", "-c", SILENT)
    page.hear(lambda: page.text == "Wait")
    site.said(writer, "written")
    before = int(site.shell(OFFSET))
    assert before == page.messages
    page.hear(lambda: page.alive == 10)
    assert int(site.shell(OFFSET)) == before
    assert site.read() == ("Wait", "writing")
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    page.subscriber.close()


def test_the_server_dies_and_the_writer_goes_on(site):
    page = Page(site)
    writer = site.write(0, 1000)
    page.hear(lambda: page.length > 100)
    site.server.kill()
    page.subscriber.close()
    site.said(writer, "done")
    assert writer.wait(PATIENCE) == 0
    assert site.read() == (text(0, 1000), "done")
    site.server.start()
    after = Page(site)
    after.text = text(0, 1000)  # which a page fetches when it is connected again
    assert site.write(1000, 1100, resume=True).wait(PATIENCE) == 0
    after.hear(lambda: after.state == "done")
    assert (after.text, "done") == site.read() == (text(0, 1100), "done")
    after.subscriber.close()


def test_a_log_of_two_megabytes(site):
    page = site.subscriber("answer")
    took, rows = map(float, site.shell(LOG).split())
    ends, parts = "", 0
    while ends != "done":
        [(_, payload)] = page.publications(1)
        ends, parts = payload["data"].get("state", ""), parts + 1
    assert parts <= took * 20 + 2
    assert rows <= 2_100_000 / 65_536 + parts / 2 + 2
    assert took < PATIENCE
    page.close()


SERVERS = {
    "uvicorn": ("async/", ["uvicorn", "site_asgi:application", "--port", "{port}", "--log-level=error"]),
    "gunicorn": ("thread/", ["gunicorn", "site_wsgi:application", "-b", "127.0.0.1:{port}", "--log-level=error"]),
}  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("site", PAIRS[:1], indirect=True)
def test_under_a_web_server(site, server):
    for kind in ("asgi", "wsgi"):
        (site.folder / f"site_{kind}.py").write_text(
            f"from django.core.{kind} import get_{kind}_application\n"
            f"application = get_{kind}_application()\n"
        )
    where, command = SERVERS[server]
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", *(part.format(port=port) for part in command)],
        env=site.env, cwd=site.folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        page = Page(site)
        ask(f"http://127.0.0.1:{port}/{where}", process)
        page.hear(lambda: page.state == "done")
        assert page.text == "".join(f"{n} " for n in range(200))
        assert site.read() == (page.text, "done")
        page.subscriber.close()
    finally:
        process.terminate()
        process.wait(PATIENCE)


def ask(url, process):
    """Ask as soon as it listens."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return answer.read()
        except urllib.error.URLError as exc:
            if not isinstance(exc.reason, ConnectionRefusedError):
                raise
        time.sleep(0.05)
    raise AssertionError(f"It ended with {process.returncode}.")
