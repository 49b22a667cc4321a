"""A namespace whose channels are streamed to, and what is published on them."""

import pytest
from django.db.models.functions import Now

from instant import Namespace
from instant.streaming import rows
from instant.streaming.writing import Writing
from instant.testing import capture_publications


@pytest.fixture
def captured():
    with capture_publications() as found:
        yield found


@pytest.fixture
def at_once(monkeypatch):
    """Each write is a message of its own."""
    monkeypatch.setattr("instant.streaming.writing.BETWEEN", 0.0)


@pytest.fixture
def by_hand(monkeypatch):
    """Nothing is written down but by flush() and at the end."""
    monkeypatch.setattr("instant.streaming.writing.BETWEEN", 1e9)


@pytest.fixture
def answers(registry):
    """``answer:<pk>`` is for users; ``open:<pk>`` for everybody."""

    class Answer(Namespace):
        name = "answer"
        pattern = "<int:pk>"

        def can_subscribe(self, user, pk):
            return user.is_authenticated

    class Open(Namespace):
        name = "open"
        pattern = "<int:pk>"
        authorize = "open"


def told(captured, channel="answer:1"):
    """Return what pages were told, without the name of the run."""
    found = [dict(p.payload["data"]) for p in captured.publications if p.channel == channel]
    for one in found:
        one.pop("run")
    return found


def die(channel="answer:1"):
    """Let the writer's lease be over, as it is some time after it was killed."""
    from datetime import timedelta

    found = rows.own().filter(channel=channel)
    assert found.update(seen_at=Now() - timedelta(seconds=rows.LEASE + 1))


def abandoned(text="Half", channel="answer:1", **options):
    """Return a stream as a process leaves it that was killed."""
    writing = Writing(channel, **{"user": None, "resumes": False, "limit": None, **options})
    writing.begin()
    writing.add(text)
    writing.flush()
    die(channel)
    return writing
