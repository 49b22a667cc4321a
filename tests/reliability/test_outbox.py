"""What survives with the outbox: the table in docs/guarantees.md."""

import pytest

from tests.reliability.world import World, at_random, count, lost, moments

pytestmark = [pytest.mark.slow, pytest.mark.conformance]

KILLS = 3
KEPT = "kept:a"
REAL = pytest.mark.real_server

WORLDS = {
    # A relay of ours; histories in a file.
    "embedded-sqlite": ("embedded", "sqlite", "memory"),
    "embedded-postgresql": ("embedded", "postgresql", "memory"),
    # Its memory forgets, so Redis keeps the histories.
    "centrifugo-sqlite": ("centrifugo", "sqlite", "redis"),
    # Its own consumer.
    "centrifugo-postgresql": ("centrifugo", "postgresql", "redis"),
}


def worlds(without=()):
    return [
        pytest.param(*world, id=name, marks=[REAL] if world[0] == "centrifugo" else [])
        for name, world in WORLDS.items()
        if not set(without) & set(world)
    ]


def pages_miss_nothing(tmp_path, world, victim, *, backend="outbox"):
    """Kill again and again while two processes publish; all that was committed comes once, in order."""
    server, database, engine = world
    with World(tmp_path, server=server, database=database, backend=backend, engine=engine) as made:
        page = made.page(f"{KEPT}0", f"{KEPT}1")
        made.publish(KEPT, publishers=2)
        for _ in moments(page, KILLS):
            if victim == "network":
                page.cut()
                continue
            made.kill(victim)
            at_random()
            made.come_back(victim)
        made.published()
        facts = made.facts()
        wanted = sum(map(len, facts.values()))
        came = page.wait(lambda page: count(page) >= wanted)
        # With both ways a message that was left to the relay may come behind the next one.
        missing = lost(page, facts, is_ordered=backend != "both")
        assert not any(missing.values()), f"lost: {missing}, told: {page.told}"
        assert came
        assert page.told == dict.fromkeys(page.told, 0), "told of a loss that is none"


@pytest.mark.parametrize(("server", "database", "engine"), worlds())
@pytest.mark.parametrize("victim", ["p0", "server", "network"])
def test_nothing_is_lost(tmp_path, server, database, engine, victim):
    pages_miss_nothing(tmp_path, (server, database, engine), victim)


@pytest.mark.parametrize(("server", "database", "engine"), worlds())
def test_nothing_is_lost_when_the_relay_is_killed(tmp_path, server, database, engine):
    if (server, database) == ("centrifugo", "postgresql"):
        pytest.skip("the server itself is the relay")
    pages_miss_nothing(tmp_path, (server, database, engine), "relay")


@pytest.mark.parametrize(("server", "database", "engine"), worlds(without=["sqlite"]))
def test_nothing_is_lost_when_the_database_is_killed(tmp_path, server, database, engine):
    pages_miss_nothing(tmp_path, (server, database, engine), "database")


@pytest.mark.parametrize(("server", "database", "engine"), worlds(without=["memory"]))
def test_nothing_is_lost_when_redis_is_killed(tmp_path, server, database, engine):
    pages_miss_nothing(tmp_path, (server, database, engine), "redis")


@pytest.mark.parametrize(("server", "database", "engine"), worlds())
@pytest.mark.parametrize("victim", ["p0", "server"])
def test_nothing_is_lost_where_it_is_sent_at_once_too(tmp_path, server, database, engine, victim):
    pages_miss_nothing(tmp_path, (server, database, engine), victim, backend="both")
