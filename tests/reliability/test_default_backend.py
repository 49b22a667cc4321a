"""What survives with the default backend, which sends after the commit: the table in docs/guarantees.md."""

import pytest
from django.test import override_settings

from instant import publish
from tests.real_server import KINDS
from tests.reliability.world import BACKENDS, END, World, at_random, lost, moments

pytestmark = [pytest.mark.slow, pytest.mark.conformance]

KILLS = 3
KEPT, ONCE, NEWEST = "kept:a", "once:a", "newest:a"


REAL = pytest.mark.real_server
WORLDS = [
    pytest.param(("embedded", "file"), id="embedded"),
    pytest.param(("centrifugo", "memory"), id="centrifugo-memory", marks=REAL),
    pytest.param(("centrifugo", "redis"), id="centrifugo-redis", marks=REAL),
]


@pytest.fixture(params=WORLDS)
def world(request, tmp_path):
    server, engine = request.param
    with World(tmp_path, server=server, database="sqlite", backend="http", engine=engine) as made:
        yield made


def end(world, page):
    """Publish what comes after all else; return what the page lacks then, by channel."""
    with override_settings(
        INSTANT={"DIR": world.folder / "centrifugo", **BACKENDS["http"], "TIMEOUT": 60}
    ):
        for channel in page.messages:
            publish(channel, data={"publisher": "end", "number": 1})
    assert page.wait(lambda page: all(got[-1:] == [END] for got in page.messages.values()))
    return lost(page, world.facts())


def test_the_network_breaks(world):
    page = world.page(f"{KEPT}0", f"{ONCE}0", f"{NEWEST}0")
    world.publish(KEPT, ONCE, NEWEST)
    for _ in moments(page, KILLS):
        page.cut()
    # What keeps nothing says the last word only to who is there.
    assert page.wait(lambda page: all(times > KILLS for times in page.joined.values()))
    world.published()
    missing = end(world, page)
    assert not missing[f"{KEPT}0"]
    assert page.told == dict.fromkeys(page.told, 0)
    assert page.joined[f"{KEPT}0"] > KILLS


def test_the_server_is_killed(world):
    """What it had is there again where it keeps its histories; what it never got is told."""
    page = world.page(f"{KEPT}0")
    world.publish(KEPT)
    for _ in moments(page, KILLS):
        world.kill("server")
        at_random()
        world.come_back("server")
    world.published()
    missing = end(world, page)
    assert page.told[f"{KEPT}0"] or not missing[f"{KEPT}0"]


@pytest.mark.real_server
def test_redis_is_killed(tmp_path):
    """Centrifugo answers meanwhile that it can't: that is told too."""
    options = {"server": "centrifugo", "database": "sqlite", "backend": "http", "engine": "redis"}
    with World(tmp_path, **options) as world:
        page = world.page(f"{KEPT}0")
        world.publish(KEPT)
        for _ in moments(page, KILLS):
            world.kill("redis")
            at_random()
            world.come_back("redis")
        world.published()
        missing = end(world, page)
        assert page.told[f"{KEPT}0"] or not missing[f"{KEPT}0"]


def test_the_process_that_publishes_is_killed(world):
    """It may lose what it had committed and not sent yet: nothing else."""
    page = world.page(f"{KEPT}0")
    world.publish(KEPT)
    for _ in moments(page, KILLS):
        world.kill("p0")
        world.come_back("p0")
    world.published()
    assert len(end(world, page)[f"{KEPT}0"]) <= KILLS


@pytest.mark.parametrize("server", KINDS)
def test_the_database_is_killed(server, tmp_path):
    """As long as it is away nothing is committed, and so nothing lost."""
    with World(tmp_path, server=server, database="postgresql", backend="http") as world:
        page = world.page(f"{KEPT}0")
        world.publish(KEPT)
        for _ in moments(page, KILLS):
            world.kill("database")
            world.come_back("database")
        world.published()
        # A commit whose reply never came may be one of which Django runs no hook.
        assert len(end(world, page)[f"{KEPT}0"]) <= KILLS
