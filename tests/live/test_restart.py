"""A server that is killed and started again."""

import threading

import pytest
from cent import HistoryRequest
from django.db import transaction

from instant import backends, publish
from instant.exceptions import ServerUnreachable
from tests.live.servers import LiveServer, use
from tests.real_server import KINDS

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_between_two_publishes(kind, tmp_path):
    """The next publish finds the new server by itself; in between it says what is wrong."""
    live = LiveServer(kind, tmp_path)
    live.start()
    with use(live):
        first = publish("public", data=1)
        live.kill()
        with pytest.raises(ServerUnreachable, match="runws"):
            publish("public", data=2)
        live.start()
        again = publish("public", data=3)
    live.kill()
    assert first.epoch != again.epoch  # the memory engine forgets: another history
    assert again.offset == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.django_db(transaction=True)
def test_pages_are_told_what_a_commit_could_not_send(kind, tmp_path):
    """A server knows what it forgot itself, and not what never reached it."""
    live = LiveServer(kind, tmp_path)
    live.start()
    with use(live):
        assert publish("public", data=1).state == "sent"
        live.kill()
        for _ in range(2):
            with transaction.atomic():
                assert publish("public", data=2).state == "deferred"
        live.start()
        for thread in threading.enumerate():
            if thread.name == "instant-loss-marks":
                thread.join(60)
        client = backends.get_backend().client()
        found = client.call(HistoryRequest(channel="public", limit=10), 60).publications
    live.kill()
    assert sum(publication.data["data"]["count"] for publication in found) == 2
    assert {publication.data["event_class"] for publication in found} == {"instant:lost"}
