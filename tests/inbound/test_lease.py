"""One at a time, while its process lives."""

import os
import select
import signal
import threading
import time

import pytest
from django.core.cache import caches
from django.test import override_settings

from instant.inbound import lease
from tests.views.test_login_throttle_counts import BACKENDS


@pytest.fixture(autouse=True)
def _alone(request, monkeypatch):
    """A cache and a keeper of the test's own; what it still holds, nobody renews."""
    keeper = lease._Keeper()
    monkeypatch.setattr(lease, "_keeper", keeper)
    options = BACKENDS["memory"] | {"LOCATION": request.node.nodeid}
    with override_settings(CACHES={"default": options}):
        yield
        caches["default"].clear()
    keeper._held.clear()


@pytest.fixture
def move(monkeypatch):
    """Move both clocks on."""
    moved = [0.0]
    clocks = {name: getattr(time, name) for name in ("time", "monotonic")}
    for name, real in clocks.items():
        monkeypatch.setattr(time, name, lambda real=real: real() + moved[0])

    def move(seconds):
        moved[0] += seconds

    return move


def take():
    return lease.take("default", "x")


def until(holds):
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        threading.Event().wait(0.005)


def test_one_at_a_time():
    first = take()
    assert take() is None
    assert lease.take("default", "y") is not None
    first.give_back()
    second = take()
    assert second is not None
    first.give_back()  # a second time
    assert take() is None
    second.give_back()


def test_one_that_nobody_renews_is_anothers(move):
    first = take()
    move(lease.SECONDS + 0.1)
    second = take()
    assert second is not None
    first.renew()  # it has been asleep, and must not take it back
    first.give_back()
    assert take() is None
    second.give_back()


def test_one_that_is_renewed_is_held_on(move):
    first = take()
    for _ in range(10):
        move(lease.SECONDS * 0.7)
        first.renew()
        assert take() is None
    first.give_back()
    assert take() is not None


def test_one_that_was_given_back_stays_so(move):
    first = take()
    first.give_back()
    first.renew()
    assert take() is not None


def test_its_thread_renews_and_ends_when_there_are_none(monkeypatch):
    keeper = lease._Keeper()
    monkeypatch.setattr(lease, "_keeper", keeper)
    monkeypatch.setattr(lease, "_RENEWED_EVERY", 0.01)
    first = take()
    renewed = first.renewed
    until(lambda: first.renewed > renewed)
    first.give_back()
    until(lambda: keeper._thread is None)
    again = take()
    assert keeper._thread.is_alive()
    again.give_back()
    until(lambda: keeper._thread is None)


def test_a_cache_that_fails_is_told(caplog, monkeypatch):
    first = take()
    broken = {"default": {"BACKEND": "tests.views.test_login_throttle_counts.Broken"}}
    with override_settings(CACHES=broken):
        first.give_back()
    assert "a lease ends in 6 s" in caplog.text
    keeper = lease._Keeper()
    monkeypatch.setattr(lease, "_keeper", keeper)
    second = lease.take("default", "y")
    second.renewed -= lease.SECONDS / 2
    with override_settings(CACHES=broken):
        keeper._renew([second])
    assert "leases were not renewed" in caplog.text


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux tells when a process ends")
def test_a_fork_renews_nothing_of_its_parents():
    held = take()
    with lease._keeper._lock:  # another thread may have it at this very moment
        pid = os.fork()
        if not pid:
            try:
                can_take = lease.take("default", "another") is not None
                os._exit(0 if can_take and not lease._keeper.holds(held) else 1)
            finally:
                os._exit(2)
    ended = os.pidfd_open(pid)
    if not select.select([ended], [], [], 20)[0]:
        os.kill(pid, signal.SIGKILL)
    os.close(ended)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert lease._keeper.holds(held)
