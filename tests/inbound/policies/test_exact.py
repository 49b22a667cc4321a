"""Fifty callers in five processes, at the same moment, on every cache that processes can share."""

import time
from collections import Counter

import pytest

from tests.inbound.policies.callers import FEW_LEASE

pytestmark = [pytest.mark.slow, pytest.mark.timed]

FEW = {"each": 2, "lease": FEW_LEASE}
"""Where a lease has to end: the time tells something, and not how many wait for it."""


def outcomes(answers):
    return Counter(a if isinstance(a, str) else a.get("refused", str(a)) for a in answers)


def test_exactly_so_many_pass(callers):
    for user in (1, 2):
        assert outcomes(callers.ask("limited", user=user)) == {"in": 20, 429: 30}
    assert outcomes(callers.ask("limited", user=1)) == {429: 50}
    assert outcomes(callers.ask("many", user=1)) == {"in": 40, 429: 10}


def test_and_again_when_their_time_is_over(callers):
    """What has just ended must not be taken twice."""
    seen = 0
    while seen < 3:
        began = time.time()
        answers = callers.ask("often")
        took = time.time() - began
        found = outcomes(answers)
        assert found["in"] + found[429] == 50
        if took < 3:  # else some of the 20 were over before the last had asked
            assert found == {"in": 20, 429: 30}
            seen += 1
        assert all(1 <= a["retry_after"] <= 3 for a in answers if a != "in")
        ends = time.time() + 3
        while time.time() < ends:
            time.sleep(0.05)


@pytest.mark.parametrize("method", ["kept", "once"])
def test_a_stampede_runs_the_function_once(callers, method):
    call = {"user": 11, "id": "a", "data": {}}
    callers.begin(method, **call)
    callers.until_one_runs()
    callers.go()
    answers = callers.answers()
    [ran] = callers.ran()
    assert answers == [{"pid": int(ran)}] * 50
    # From memory, and for somebody else anew.
    assert callers.ask(method, **call) == answers
    assert len(callers.ran()) == 1
    callers.ask(method, **call | {"user": 12})
    assert len(callers.ran()) == 2


@pytest.mark.parametrize("method", ["kept", "once"])
def test_where_the_process_dies_another_runs_it(callers, method):
    call = {"user": 21, "id": "a", "data": {}}
    callers.begin(method, **call, **FEW)
    callers.until_one_runs()
    callers.kill(int(callers.ran()[0]))
    callers.until_one_runs(2)
    callers.go()
    answers = callers.answers()
    [_, second] = callers.ran()
    assert answers == [{"pid": int(second)}] * 8


def test_a_lease_is_held_for_as_long_as_its_process_lives(callers):
    """Longer than a lease that nobody renews."""
    callers.begin("kept", user=31, data={}, **FEW)
    callers.until_one_runs()
    ends = time.monotonic() + 1.5 * FEW_LEASE
    while time.monotonic() < ends:
        assert len(callers.ran()) == 1
        time.sleep(0.1)
    callers.go()
    assert len({a["pid"] for a in callers.answers()}) == 1
