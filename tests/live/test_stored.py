"""
Stored messages while Django, the message server, workers and pages are killed, on both servers.

SQLite is a file beside them, PostgreSQL a server that the module starts where there is one.
"""

import json
import signal

import pytest

from tests.live.jobs_site import JobsSite
from tests.live.outbox_site import PATIENCE
from tests.live.pairs import EVERY_PAIR, made

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

REALTIME = """
import os, signal
from pathlib import Path
from django.contrib.auth import get_user_model
from instant import Namespace
from instant.deliveries import Stored
from instant.stored import acknowledging, keep

FOLDER = Path("{folder}")

class Team(Namespace):
    name, pattern = "team", "<str:name>"
    delivery, client_publish = Stored("cacheall"), "ask"

    def can_subscribe(self, user, name):
        return user.is_authenticated

    can_publish = can_subscribe

    def readers(self, name):
        return get_user_model().objects.all()

def dying(module, name, moment):
    function = getattr(module, name)
    def call(*args):
        if moment == "before" and (FOLDER / name).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*args)
        if moment == "after" and (FOLDER / name).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    setattr(module, name, call)

# Killed here while a file of that name is there: when it is written, and before it is committed.
dying(acknowledging, "let_go", "before")
dying(keep, "write", "after")
"""

MORE = """
INSTANT = {{**INSTANT, "BACKEND": "instant.backends.{backend}",
            "STORE": {{"MESSAGES": "cacheall", "REQUESTS": "cache"}}}}
"""

DIES_AFTER_THE_COMMIT = """
import os, signal
from django.db import transaction
from instant import publish
with transaction.atomic():
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    publish("team:a", "committed")
"""
"""Between store and send."""

DIES_BEFORE_THE_COMMIT = """
import os, signal
from django.db import transaction
from instant import publish
with transaction.atomic():
    publish("team:a", "never")
    os.kill(os.getpid(), signal.SIGKILL)
"""

SENDS = 'from instant import publish; publish("team:a", "{}")'

BACKENDS = {"http": "centrifugo.CentrifugoBackend", "outbox": "outbox.OutboxBackend"}


class StoredSite(JobsSite):
    """A project with a stored namespace; everybody reads its channels."""

    def __init__(self, kind, database, folder, found, backend):
        app = folder / "kept"
        app.mkdir()
        (app / "__init__.py").touch()
        (app / "realtime.py").write_text(REALTIME.format(folder=folder))
        more = MORE.format(backend=BACKENDS[backend])
        super().__init__(kind, database, folder, found, apps='"kept", ', more=more, lease=2)

    def reader(self, pk=1):
        """Connect as a user and subscribe."""
        page = self.page(pk)
        reply = page.subscribe("team:a", self.token(pk))
        assert "subscribe" in reply, reply
        return page

    def token(self, pk):
        code = (
            "from django.contrib.auth import get_user_model as m; "
            "from instant.rights.tokens import Signer; "
            f"print(Signer(m().objects.get(pk={pk})).channel_token('team:a').value)"
        )
        return self.shell(code).strip()

    def waiting(self, page, channel="team:a"):
        """Return what is outstanding for the page's user."""
        answer = self.call(page, "instant.outstanding", channel=channel)
        return [one["payload"] for one in answer["messages"]]

    def dies(self, name):
        """Let whoever comes there next be killed."""
        (self.folder / name).touch()

    def lives(self, name):
        (self.folder / name).unlink()
        self.web.wait(PATIENCE)
        self.serve()

    def messages(self):
        """Return how many messages and acknowledgements there are."""
        code = (
            "import json; from instant.models import Acknowledgement as A, Message as M; "
            "print(json.dumps([M.objects.count(), A.objects.count()]))"
        )
        return json.loads(self.shell(code))


@pytest.fixture
def start(request, tmp_path, cluster):
    running = []

    def start(pair, backend):
        site = made(StoredSite, pair, tmp_path, cluster, backend)
        running.append(site)
        site.server.start()
        site.serve()
        return site

    yield start
    for site in running:
        site.close()


@pytest.fixture(params=EVERY_PAIR)
def site(request, start):
    return start(request.param, "http")


def texts(payloads):
    return [payload["message"] for payload in payloads]


def test_what_was_stored_and_never_sent_is_outstanding(site):
    page = site.reader()
    site.shell(DIES_BEFORE_THE_COMMIT, code=-signal.SIGKILL)
    site.shell(DIES_AFTER_THE_COMMIT, code=-signal.SIGKILL)
    assert page.quiet()
    [message] = site.waiting(page)
    assert message["message"] == "committed"
    site.call(page, "instant.acknowledge", ids=[message["id"]])
    assert site.waiting(page) == []
    other = site.reader(2)
    assert texts(site.waiting(other)) == ["committed"]
    site.call(other, "instant.acknowledge", ids=[message["id"]])
    assert site.messages() == [0, 0]
    page.close()
    other.close()


@pytest.mark.parametrize("pair", EVERY_PAIR)
def test_with_the_outbox_it_arrives_too(start, pair):
    site = start(pair, "outbox")
    page = site.reader()
    site.shell(DIES_BEFORE_THE_COMMIT, code=-signal.SIGKILL)
    site.shell(DIES_AFTER_THE_COMMIT, code=-signal.SIGKILL)
    site.relay()
    [(_, live)] = page.publications(1)
    assert page.quiet()
    assert live["message"] == "committed"
    # The same one, by which the page knows it.
    assert site.waiting(page) == [live]
    page.close()


def test_the_message_server_is_killed(site):
    """What it was given and what it never got: both wait."""
    page = site.reader()
    site.shell(SENDS.format("given"))
    [(_, given)] = page.publications(1)
    site.server.kill()
    site.shell(SENDS.format("never got"))  # it is logged, and no error
    site.server.start()
    page = site.reader()
    waiting = site.waiting(page)
    assert texts(waiting) == ["given", "never got"]
    assert waiting[0] == given
    site.call(page, "instant.acknowledge", ids=[one["id"] for one in waiting])
    assert site.waiting(page) == []
    page.close()


def test_a_page_that_was_handed_a_message_dies_before_it_acknowledges(site):
    page = site.reader()
    site.shell(SENDS.format("one"))
    [(_, live)] = page.publications(1)
    site.shell(SENDS.format("two"))
    page.publications(1)
    site.call(page, "instant.acknowledge", ids=[live["id"]])
    assert texts(site.waiting(page)) == ["two"]  # and asked for it
    page.cut()
    page = site.reader()
    assert texts(site.waiting(page)) == ["two"]
    other = site.reader(2)
    assert texts(site.waiting(other)) == ["one", "two"]
    page.close()
    other.close()


def test_django_is_killed_while_it_acknowledges(site):
    """It is all or nothing: what isn't committed was not acknowledged, and the page asks again."""
    page, other = site.reader(), site.reader(2)
    site.shell(SENDS.format("one"))
    [(_, live)] = page.publications(1)
    site.call(other, "instant.acknowledge", ids=[live["id"]])
    site.dies("let_go")
    answer = page.ask(rpc={"method": "instant.acknowledge", "data": {"ids": [live["id"]]}})
    assert "error" in answer
    site.lives("let_go")
    assert texts(site.waiting(page)) == ["one"]
    assert site.messages() == [1, 1]
    answer = site.call(page, "instant.acknowledge", ids=[live["id"]])
    assert answer == {"acknowledged": [live["id"]]}
    assert site.messages() == [0, 0]
    page.close()
    other.close()


def test_django_is_killed_while_it_stores_what_a_page_publishes(site):
    """Nobody gets what is stored for nobody; the page says it again, and it is stored once."""
    page, other = site.reader(), site.reader(2)
    said = {"channel": "team:a", "data": {"message": "said", "id": "1-2-3"}}
    site.dies("write")
    assert "error" in page.ask(publish=said)
    assert other.quiet()
    site.lives("write")
    assert site.messages() == [0, 0]
    for _ in range(2):  # the answer may have been lost, too
        assert "publish" in page.ask(publish=said)
    [message] = site.waiting(other)
    assert message["message"] == "said"
    assert {data["id"] for _, data in other.publications(1)} == {message["id"]}
    page.close()
    other.close()


def test_a_worker_is_killed_in_the_middle_of_a_request_that_is_stored(site):
    """There is one answer, it waits for whoever asked, and the request is dealt with."""
    page = site.page()
    id_ = site.ask(page, name="a", waits=True)
    assert site.messages() == [1, 0]
    first = site.answering()
    site.wait_for(lambda: site.begun("a") == 1)
    first.kill()
    first.wait()
    page.cut()
    assert site.messages() == [1, 0]
    site.answering()
    site.wait_for(lambda: site.begun("a") == 2)
    site.let_go("a")
    site.wait_for(lambda: site.rows("state", "attempts") == [["done", 2]])
    page = site.page()
    [answer] = site.waiting(page, None)
    assert answer["data"]["result"] == {"name": "a"}
    assert answer["channel"] == f"ticket:{id_}"
    other = site.page(2)
    assert site.waiting(other, None) == []
    site.call(page, "instant.acknowledge", ids=[answer["id"]])
    assert site.messages() == [0, 0]
    page.close()
    other.close()
