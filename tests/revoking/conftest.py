"""A server that only notes what it is told."""

import pytest

from instant.backends import replaced
from instant.backends.locmem import LocmemBackend
from instant.centrifugo.api.commands import (
    Channels,
    Disconnect,
    Presence,
    PresenceStats,
    Unsubscribe,
)


class FakeClient:
    """Answers from a table of who is where, and notes each batch."""

    def __init__(self):
        self.batches, self.inside, self.error = [], {}, None

    def run(self, commands, timeout):
        if commands and self.error is not None:
            raise self.error
        if commands:
            self.batches.append(list(commands))
        return [self.answer(command) for command in commands]

    def answer(self, command):
        match command:
            case Presence(channel):
                return self.inside.get(channel, set())
            case PresenceStats(channel):
                inside = self.inside.get(channel, set())
                return len(inside), len(inside)
            case Channels(pattern):
                return {name for name in self.inside if name.startswith(pattern[:-1])}
        return None

    @property
    def changes(self):
        return [
            c for batch in self.batches for c in batch if isinstance(c, Unsubscribe | Disconnect)
        ]


class FakeBackend(LocmemBackend):
    reaches_server = True

    def __init__(self):
        super().__init__()
        self.fake = FakeClient()

    def client(self):
        return self.fake


@pytest.fixture
def client(settings):
    settings.INSTANT = {**settings.INSTANT, "ENFORCE_IN_BACKGROUND": False}
    with replaced(backend := FakeBackend()):
        yield backend.fake


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def ann(make_user, make_channel):
    make_channel("$red", "groups", groups=["red"])
    make_channel("$red2", "groups", groups=["red"])
    make_channel("$blue", "groups", groups=["blue"])
    return make_user("ann", groups=["red", "blue"])


@pytest.fixture(autouse=True)
def no_namespaces(registry):
    """Only those that the test declares."""
