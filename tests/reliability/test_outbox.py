"""What survives with the outbox: the table in docs/guarantees.md."""

import pytest

from tests.reliability.world import World, at_random, lost, moments

pytestmark = [pytest.mark.slow, pytest.mark.conformance]

KILLS = 3
KEPT, ONCE, NEWEST = "kept:a", "once:a", "newest:a"
REAL = pytest.mark.real_server

WORLDS = {
    # A relay of ours; histories in a file.
    "embedded-sqlite": ("embedded", "sqlite", "file"),
    "embedded-postgresql": ("embedded", "postgresql", "file"),
    "centrifugo-sqlite": ("centrifugo", "sqlite", "redis"),
    # Its own consumer.
    "centrifugo-postgresql": ("centrifugo", "postgresql", "redis"),
}


def worlds(*, without=()):
    return [
        pytest.param(world, id=name, marks=[REAL] if world[0] == "centrifugo" else [])
        for name, world in WORLDS.items()
        if not set(without) & set(world)
    ]


def play(tmp_path, world, victim, *, backend="outbox"):
    """Kill again and again while two processes publish; return the page, and what it lacks at the end."""
    server, database, engine = world
    with World(tmp_path, server=server, database=database, backend=backend, engine=engine) as made:
        page = made.page(*(f"{name}{n}" for name in (KEPT, ONCE, NEWEST) for n in range(2)))
        made.publish(KEPT, ONCE, NEWEST, publishers=2)
        for _ in moments(page, KILLS):
            if victim == "network":
                page.cut()
                continue
            made.kill(victim)
            at_random()
            made.come_back(victim)
        made.published()
        facts = made.facts()

        def has_all(page):
            return page.told[f"{KEPT}0"] or all(
                set(page.messages[f"{KEPT}{n}"]) == set(facts[f"{KEPT}{n}"])
                and facts[f"{NEWEST}{n}"][-1] in page.messages[f"{NEWEST}{n}"]
                for n in range(2)
            )

        has = page.wait(has_all)
        # With both ways a message that was left to the relay may come behind the next one.
        missing = lost(page, facts, is_ordered=backend != "both")
        assert has, f"lost: {missing}, told: {page.told}"
        return page, missing


def nothing_is_lost(tmp_path, world, victim, **options):
    page, missing = play(tmp_path, world, victim, **options)
    assert not missing[f"{KEPT}0"] | missing[f"{KEPT}1"]
    assert page.told == dict.fromkeys(page.told, 0), "told of a loss that is none"


@pytest.mark.parametrize("world", worlds())
@pytest.mark.parametrize("victim", ["p0", "server", "network"])
def test_nothing_is_lost(tmp_path, world, victim):
    nothing_is_lost(tmp_path, world, victim)


@pytest.mark.parametrize("world", worlds()[:3])
def test_nothing_is_lost_when_the_relay_is_killed(tmp_path, world):
    nothing_is_lost(tmp_path, world, "relay")


@pytest.mark.parametrize("world", worlds(without=["sqlite"]))
def test_nothing_is_lost_when_the_database_is_killed(tmp_path, world):
    nothing_is_lost(tmp_path, world, "database")


@pytest.mark.parametrize("world", worlds(without=["file"]))
def test_nothing_is_lost_when_redis_is_killed(tmp_path, world):
    nothing_is_lost(tmp_path, world, "redis")


@pytest.mark.parametrize("world", worlds())
@pytest.mark.parametrize("victim", ["p0", "server"])
def test_nothing_is_lost_where_it_is_sent_at_once_too(tmp_path, world, victim):
    nothing_is_lost(tmp_path, world, victim, backend="both")


@pytest.mark.parametrize("server", ["embedded", pytest.param("centrifugo", marks=REAL)])
def test_a_server_that_forgets_tells_its_pages(tmp_path, server):
    """What was relayed to it is gone from its memory; a page that had not got it is told."""
    page, missing = play(tmp_path, (server, "sqlite", "memory"), "server")
    assert page.told[f"{KEPT}0"] or not missing[f"{KEPT}0"]
