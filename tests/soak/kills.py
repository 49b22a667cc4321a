"""
Processes that publish, relay and serve are killed hundreds of times: who got what they committed?

First with the default backend, which may lose what it had committed and not sent; then with the
outbox, which may not. With Centrifugo, where there is one, on PostgreSQL and Redis.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from tests.real_server import BINARY
from tests.reliability.world import World, at_random, lost

PUBLISHERS = 8


def play(world, kills):
    """Kill as often as that while all publish; return what was committed, and what is missing."""
    channels = [f"kept:a{n}" for n in range(PUBLISHERS)]
    page = world.page(*channels)
    world.publish("kept:a", publishers=PUBLISHERS)
    victims = [f"p{n}" for n in range(PUBLISHERS)]
    others = [] if world.backend == "http" else ["server", "relay"]
    for number in range(kills):
        at_random()
        # The others as often as a process that publishes, on the whole.
        is_other = others and number % (PUBLISHERS // 2) == 0
        victim = random.choice(others if is_other else victims)
        world.kill(victim)
        world.come_back(victim)
    world.published()
    facts = world.facts()

    def has_all(page):
        return all(
            len(page.messages[channel]) >= len(facts.get(channel, ())) for channel in channels
        )

    page.wait(has_all, 60 if world.backend != "http" else 5)
    return page, facts, lost(page, facts)


def main(arguments):
    parser = argparse.ArgumentParser(prog="make soak SOAK='kills …'", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how often, each time")
    options = parser.parse_args(arguments)
    worlds = [("embedded", "sqlite", "file"), ("embedded", "postgresql", "file")]
    if BINARY:
        worlds.append(("centrifugo", "postgresql", "redis"))
    failed = False
    for server, database, engine in worlds:
        for backend in ("http", "outbox"):
            with (
                tempfile.TemporaryDirectory() as name,
                World(
                    Path(name), server=server, database=database, backend=backend, engine=engine
                ) as world,
            ):
                began = time.monotonic()
                page, facts, missing = play(world, options.kills)
                count = sum(map(len, missing.values()))
                print(
                    f"{server}, {database}, {backend}: {options.kills} kills in "
                    f"{time.monotonic() - began:.0f} s, {sum(map(len, facts.values())):,} committed, "
                    f"{count} lost, {page.dropped} came twice and were dropped by their ids",
                    flush=True,
                )
                failed = failed or (backend == "outbox" and (count > 0 or any(page.told.values())))
    return int(failed)
