"""What the thread of a web process does when the system fails it; test_autostart.py has the rest."""

import errno
import os
import sys
import time
from types import SimpleNamespace

import pytest

from instant.centrifugo.binary import lifeline
from instant.exceptions import InstantConfigError
from instant.server import autostart
from instant.server.shared import Outcome

pytestmark = pytest.mark.skipif(not lifeline.SUPPORTED, reason="no named pipes")

END = InstantConfigError("That is enough.")
MEMORY = OSError(errno.ENOMEM, "Cannot allocate memory")
FILES = OSError(errno.EMFILE, "Too many open files", "server.lock")


def ended():
    """Return the life-line of a server that ends at once."""
    reading, line = os.pipe()
    os.close(reading)
    return Outcome("A server.", line)


class Thread:
    """Runs what the thread does, with outcomes of its attempts and a clock of its own."""

    def __init__(self, monkeypatch):
        self.said, self.pauses, self.again = [], [], []
        self.now = 0.0
        clock = SimpleNamespace(sleep=self.sleep, monotonic=lambda: self.now)
        monkeypatch.setattr(autostart, "time", clock)
        monkeypatch.setattr(autostart, "attach", self.attach)

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def attach(self, conf, *, again):
        self.again.append(again)
        found = self.outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def run(self, *outcomes):
        self.outcomes = [*outcomes, END]
        autostart._guarded(autostart._tend, lambda text, failed=False: self.said.append(text))
        assert self.said.pop() == "No message server was started. That is enough."
        assert self.outcomes == []


@pytest.fixture
def thread(monkeypatch):
    return Thread(monkeypatch)


def test_a_start_that_the_system_refuses_is_tried_again(thread):
    thread.run(ended(), MEMORY, ended())
    assert thread.again == [False, True, True, True]
    [memory] = [text for text in thread.said if "memory" in text]
    assert memory.startswith("No message server was started: Cannot allocate memory. It is tried")
    assert thread.said[0] == thread.said[2] == "A server."


def test_what_lasts_is_said_once_and_tried_every_half_minute(thread):
    thread.run(*[FILES] * 8, MEMORY, *[FILES] * 100)
    assert thread.pauses[:9] == [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert set(thread.pauses[9:]) == {30}
    assert [text.split(". ")[0].partition("started: ")[2] for text in thread.said] == [
        "server.lock: Too many open files", "Cannot allocate memory", "server.lock: Too many open files",
    ]  # fmt: skip


def test_it_is_said_again_where_there_was_a_server_between(thread):
    thread.run(FILES, ended(), FILES)
    assert [text[:9] for text in thread.said if "ended" not in text] == [
        "No messag", "A server.", "No messag",
    ]  # fmt: skip


def test_what_fails_while_another_server_is_used_ends_nothing(thread):
    looks = [True, FILES, True, False]

    def lasts():
        found = looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    used = Outcome("Another one is used.", lasts=lasts)
    thread.run(used, used)
    assert looks == []
    assert [text[:11] for text in thread.said] == ["Another one", "No message ", "Another one"]


def test_what_fails_while_its_server_runs_ends_nothing(thread, monkeypatch):
    lines = []

    def wait_for_end(line, folder):
        thread.now += 3600
        lines.append(line)
        if len(lines) == 1:
            raise MEMORY

    monkeypatch.setattr(lifeline, "wait_for_end", wait_for_end)
    thread.run(FILES, FILES, FILES, ended(), ended())
    assert thread.pauses == [1, 2, 4, 1]  # it has run for long
    assert thread.again == [False] * 4 + [True, True]
    for line in lines:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(line)


def test_the_reloader_holds_on_whatever_fails(monkeypatch):
    lines, pauses = [ended().line, ended().line], []
    waited = lines.copy()

    def join(folder):
        if not lines:
            raise END
        return lines.pop(0)

    def wait_for_end(line, folder):
        raise MEMORY

    monkeypatch.setattr(lifeline, "join", join)
    monkeypatch.setattr(lifeline, "wait_for_end", wait_for_end)
    monkeypatch.setattr(autostart, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))  # fmt: skip
    with pytest.raises(InstantConfigError):
        autostart._hold_on(autostart._to_log)
    assert pauses == [1, 1]
    for line in waited:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(line)


def test_a_terminal_that_is_gone_is_told_nothing(monkeypatch):
    def write(text):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=write))
    autostart._to_terminal("It has ended.", failed=True)
