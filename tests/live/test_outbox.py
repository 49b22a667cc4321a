"""
The outbox with processes that are killed, on the embedded server and on Centrifugo.

SQLite is a file beside them, PostgreSQL a server that the module starts where there is one.
"""

import json
import signal

import pytest

from tests.live.outbox_site import PATIENCE, Site
from tests.live.pairs import PAIRS, made
from tests.ports import free_port

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

DIES_AFTER_THE_COMMIT = """
import os, signal
from django.db import transaction
from instant import publish
with transaction.atomic():
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    publish("news", "committed")
"""

DIES_BEFORE_THE_COMMIT = """
import os, signal
from django.db import transaction
from instant import publish
with transaction.atomic():
    publish("news", "never")
    os.kill(os.getpid(), signal.SIGKILL)
"""

PUBLISHES = """
import random
from django.db import transaction
from instant import publish
rng = random.Random(7)
for number in range({first}, {count}):
    try:
        with transaction.atomic():
            publish(f"news{{number % 5}}", number)
            try:
                with transaction.atomic():
                    publish(f"news{{number % 5}}", "of a savepoint that was rolled back")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
            if rng.random() < 0.2:
                publish(f"news{{number % 5}}", "rolled back")
                raise LookupError
    except LookupError:
        publish(f"news{{number % 5}}", number)
"""

DIES_BEFORE_IT_DELETES = """
import os, signal
from instant.publishing.outbox import notes, store
from instant.publishing.outbox.relay import Relay
store.Store.finish = notes.NotesStore.finish = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
Relay().drain()
"""


@pytest.fixture(params=PAIRS)
def site(request, tmp_path, cluster):
    found = made(Site, request.param, tmp_path, cluster)
    try:
        yield found
    finally:
        found.close()


def messages(publications):
    return [data["message"] for _, data in publications]


def test_a_process_that_dies_between_commit_and_send_loses_nothing(site):
    site.server.start()
    page = site.subscriber("news")
    site.shell(DIES_BEFORE_THE_COMMIT, code=-signal.SIGKILL)
    site.shell(DIES_AFTER_THE_COMMIT, code=-signal.SIGKILL)
    site.relay()
    assert messages(page.publications(1)) == ["committed"]
    assert page.quiet()
    page.close()


def test_a_relay_that_is_killed_in_the_middle_loses_and_doubles_nothing(site):
    site.server.start()
    channels = [f"news{number}" for number in range(5)]
    page = site.subscriber(*channels)
    count = 300
    publishing = site.start("shell", "-v0", "-c", PUBLISHES.format(first=0, count=count - 50))
    got = []
    for _ in range(3):
        relay = site.relay()
        got += page.publications(40)
        relay.kill()
        relay.wait()
    assert publishing.wait(PATIENCE) == 0
    # The third may have sent all that there was.
    site.shell(PUBLISHES.format(first=count - 50, count=count))
    site.shell(DIES_BEFORE_IT_DELETES, code=-signal.SIGKILL)
    relay = site.relay()
    got += page.publications(count - len(got))
    assert page.quiet(), "Nothing twice, and nothing of what was rolled back."
    for channel in channels:
        found = [data["message"] for name, data in got if name == channel]
        assert found == list(range(int(channel[-1]), count, 5))
    site.wait_until_sent()  # again, and known to the server
    relay.send_signal(signal.SIGTERM)
    assert relay.wait(PATIENCE) == 0
    page.close()


def test_two_relays_side_by_side_and_one_dies(site):
    """On SQLite the second waits for the end of the first."""
    site.server.start()
    channels = [f"news{number}" for number in range(5)]
    page = site.subscriber(*channels)
    relays = [site.relay(), site.relay()]
    site.shell(PUBLISHES.format(first=0, count=100))
    got = page.publications(100)
    relays[0].kill()
    site.shell(PUBLISHES.format(first=0, count=50))
    got += page.publications(50)
    assert page.quiet()
    for channel in channels:
        found = [data["message"] for name, data in got if name == channel]
        first = int(channel[-1])
        assert found == [*range(first, 100, 5), *range(first, 50, 5)]
    relays[1].send_signal(signal.SIGINT)
    assert relays[1].wait(PATIENCE) == 0
    page.close()


def history(site, channel):
    return json.loads(
        site.shell(
            f"""
import json
from cent import HistoryRequest
from instant.backends import get_backend
found = get_backend().client().call(HistoryRequest(channel={channel!r}, limit=1000), 5)
print(json.dumps([p.data["message"] for p in found.publications]))
"""
        ).splitlines()[-1]
    )


def test_a_server_that_is_down_gets_it_when_it_is_back(site):
    relay = site.relay()
    site.shell(PUBLISHES.format(first=0, count=30))
    site.said(relay, "can't be sent, and wait")
    site.server.start()
    site.said(relay, "are sent again")
    site.shell('from instant import publish; publish("news0", "last")')
    page = site.subscriber("last")
    site.shell('from instant import publish; publish("last", "x")')
    page.publications(1)
    # Each channel in its order, though it was sent with others.
    site.wait_until_sent()
    assert history(site, "news0") == [*range(0, 30, 5), "last"]
    page.close()


def test_a_server_that_is_killed_and_started_again(site):
    """Its memory is gone; what it had not taken yet comes."""
    site.server.start()
    relay = site.relay()
    page = site.subscriber("news0")
    site.shell('from instant import publish; publish("news0", "first")')
    assert messages(page.publications(1)) == ["first"]
    site.wait_until_sent()  # else the relay never hears that it was taken, and sends it again
    site.server.kill()
    site.shell('from instant import publish; publish("news0", "second")')
    site.said(relay, "can't be sent")
    site.server.start()
    site.said(relay, "are sent again")
    site.wait_until_sent()
    assert history(site, "news0") == ["second"]
    page.close()


def test_a_namespace_that_is_known_later(site):
    site.server.start()
    relay = site.relay()
    page = site.subscriber("news")
    site.shell(
        'from instant import publish; publish("later:1", "1"); publish("news", "x"); '
        'publish("later:1", "2")'
    )
    assert messages(page.publications(1)) == ["x"]
    site.said(relay, "“later” wait in the outbox")
    assert site.waiting() == 2
    site.server.kill()
    config = json.loads(site.server.path.read_text())
    config["channel"]["namespaces"].append(
        {"name": "later", "history_size": 10, "history_ttl": "60s"}
    )
    site.server.path.write_text(json.dumps(config))
    site.server.start()
    site.wait_until_sent()
    assert history(site, "later:1") == ["1", "2"]
    page.close()


def test_what_the_server_refuses_is_set_aside(site):
    site.server.start()
    relay = site.relay()
    page = site.subscriber("news")
    site.shell(
        "from instant import publish; from instant.models import OutboxRow; "
        'publish("news", "1"); '
        'OutboxRow.objects.create(method="publish", payload=\'{"channel":"news"}\', partition=0);'
        'OutboxRow.objects.create(method="publish", payload="no JSON", partition=1);'
        'publish("news", "2")'
    )
    assert messages(page.publications(2)) == ["1", "2"]
    site.said(relay, "set aside")
    site.said(relay, "set aside")
    told = site.run("relay_outbox", "--status")
    assert "Waiting: 0" in told
    assert "Set aside: 2" in told
    page.close()


def test_rows_of_all_of_unicode_arrive_as_they_are(site):
    site.server.start()
    page = site.subscriber("news")
    site.relay()
    site.shell(r'from instant import publish; publish("news", "a\x00b\U0001f600")')
    assert messages(page.publications(1)) == ["a\x00b\U0001f600"]
    page.close()


@pytest.mark.parametrize("how", ["runws", "runserver"])
def test_what_runs_the_server_sends_the_rows(site, how):
    """And the row that was there before."""
    site.shell('from instant import publish; publish("news", "before")')
    arguments = ["runws", "--server", site.kind]
    if how == "runserver":
        arguments = ["runserver", "--noreload", f"127.0.0.1:{free_port()}"]
    process = site.start_anew(*arguments)
    while site.waiting():
        assert process.poll() is None
    assert history(site, "news") == ["before"]
    page = site.subscriber("news")
    site.shell('from instant import publish; publish("news", "now")')
    assert messages(page.publications(1)) == ["now"]
    page.close()
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    said = process.stdout.read()
    assert "can't be sent" not in said, "Not while the server is starting."
    assert "not enforced" not in said
