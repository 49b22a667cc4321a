"""Who is in a channel, for Python."""

import contextlib

import pytest

from instant import presence
from instant.centrifugo.api import channel_state
from instant.exceptions import InstantConfigError, InvalidChannelName, ServerUnreachable
from instant.presence import Change, Present, present, watch


@pytest.fixture
def server(monkeypatch):
    """Answers, one after the other; the last one again and again."""
    answers = []

    def ask(client, channel, timeout):
        assert channel == "room:1"
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    class Backend:
        def client(self):
            return object()

    monkeypatch.setattr(channel_state, "presence", ask)
    monkeypatch.setattr(presence, "get_backend", Backend)
    return answers


ANN, BOB = {"user": "1", "info": {"name": "Ann"}}, {"user": "2"}


def test_present(server):
    server[:] = [{"a": ANN, "b": BOB, "l": {"user": "instant:listener"}}]
    assert present("room:1") == [Present("a", "1", {"name": "Ann"}), Present("b", "2", None)]


def test_bad_names_and_backends_that_reach_no_server():
    with pytest.raises(InvalidChannelName):
        present("room:*")
    with pytest.raises(InstantConfigError, match="no server that could know"):
        present("room:1")


async def changes(count):
    async with contextlib.aclosing(watch("room:1", every=0)) as found:
        return [await anext(found) for _ in range(count)]


async def test_who_comes_and_goes(server):
    server[:] = [{"a": ANN}, {"a": ANN}, {"a": ANN, "b": BOB}, {"b": BOB}]
    ann, bob = Present("a", "1", {"name": "Ann"}), Present("b", "2")
    assert await changes(3) == [
        Change("joined", ann), Change("joined", bob), Change("left", ann),
    ]  # fmt: skip


async def test_while_nobody_can_tell_nobody_has_left(server, caplog):
    down = ServerUnreachable("down")
    server[:] = [{"a": ANN}, down, down, {"a": ANN, "b": BOB}]
    assert [change.kind for change in await changes(2)] == ["joined", "joined"]
    assert len([r for r in caplog.records if r.name == "instant.listening"]) == 1
