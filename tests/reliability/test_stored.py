"""What is stored is there, whatever is killed, at random moments: the table in docs/guarantees.md."""

import pytest

from tests.reliability.test_outbox import WORLDS
from tests.reliability.world import World, at_random, moments

pytestmark = [pytest.mark.slow, pytest.mark.conformance]

KILLS = 3
WAITS = "waits:a"
REAL = pytest.mark.real_server


def worlds(*, without=()):
    return [
        pytest.param(world, id=name, marks=[REAL] if world[0] == "centrifugo" else [])
        for name, world in WORLDS.items()
        if world[1] not in without
    ]


def play(tmp_path, world, victim, backend):
    """Kill again and again; what is committed is stored, in order and once, and nothing else."""
    server, database, _ = world
    with World(tmp_path, server=server, database=database, backend=backend) as made:
        page = made.page(f"{WAITS}0", f"{WAITS}1")
        made.publish(WAITS, publishers=2)
        for _ in moments(page, KILLS):
            made.kill(victim)
            at_random()
            made.come_back(victim)
        made.published()
        facts, stored = made.facts(), made.stored()
        for name, messages in page.messages.items():
            assert stored[name] == facts[name]
            # What a page was handed is among what waits: it may die before it is dealt with.
            assert set(messages) <= set(stored[name])


@pytest.mark.parametrize("world", worlds())
@pytest.mark.parametrize("victim", ["p0", "server"])
@pytest.mark.parametrize("backend", ["http", "outbox"])
def test_nothing_that_is_stored_is_lost(tmp_path, world, victim, backend):
    play(tmp_path, world, victim, backend)


@pytest.mark.parametrize("world", worlds(without=["sqlite"]))
def test_nothing_that_is_stored_is_lost_when_the_database_is_killed(tmp_path, world):
    play(tmp_path, world, "database", "http")
