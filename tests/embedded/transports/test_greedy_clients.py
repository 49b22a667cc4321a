"""Clients that ask for more than they read: what it costs the server, and what others notice."""

import asyncio
import json
import tracemalloc

import aiohttp
import pytest

from instant.embedded import EmbeddedServer
from tests.embedded.conftest import Site
from tests.embedded.fakes import CONFIG
from tests.embedded.transports.test_websocket import connecting, handshake, masked

BIG = {
    **CONFIG,
    "channel": {
        "namespaces": [
            {
                "name": "open",
                "allow_subscribe_for_client": True,
                "allow_history_for_client": True,
                "allow_presence_for_subscriber": True,
                "presence": True,
                "history_size": 20,
                "history_ttl": "60s",
                "force_recovery": True,
            },
        ]
    },
}


async def fill(site):
    """Keep 2 MB in a channel, and return its epoch."""
    for _ in range(20):
        await site.publish("open:big", "x" * 100_000)
    _, reply = await site.api("history", {"channel": "open:big"})
    return json.loads(reply)["result"]["epoch"]


def histories(epoch):
    return [{"history": {"channel": "open:big", "limit": -1}}] * 1000


def recoveries(epoch):
    position = {"recover": True, "offset": 0, "epoch": epoch}
    return [
        {"unsubscribe": {"channel": "open:big"}},
        {"subscribe": {"channel": "open:big", **position}},
    ] * 190


def one_frame(commands):
    numbered = ({"id": number, **command} for number, command in enumerate(commands, 2))
    return "\n".join(json.dumps(command, separators=(",", ":")) for command in numbered)


def many_frames(commands):
    return b"".join(masked(one_frame([command])) for command in commands)


async def attack(site, ask):
    """Ask for hundreds of megabytes and read nothing; return the most memory that it took."""
    epoch = await fill(site)
    reader, writer = await handshake(site, connecting("greedy"))
    reader._transport.pause_reading()
    await site.until(lambda: site.broker.hub.connections("greedy"))
    (session,) = site.broker.hub.connections("greedy")
    tracemalloc.start()
    try:
        writer.write(ask(epoch))
        await site.until(lambda: session.closed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        writer.close()
    assert (await site.api("info"))[0] == 200
    return peak


@pytest.mark.parametrize("config", [BIG])
@pytest.mark.parametrize("commands", [histories, recoveries])
async def test_what_one_frame_asks_for_is_no_more_than_may_wait(site, commands):
    assert await attack(site, lambda epoch: masked(one_frame(commands(epoch)))) < 2**25


@pytest.mark.parametrize("config", [BIG])
async def test_nor_is_what_many_frames_ask_for(site):
    assert await attack(site, lambda epoch: many_frames(histories(epoch))) < 2**25


async def test_nor_is_what_waits_for_a_history_file(tmp_path):
    server = EmbeddedServer(BIG, variables={}, data=tmp_path / "history")
    port = await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as http:
            site = Site(server, port, http)
            peak = await attack(site, lambda epoch: masked(one_frame(recoveries(epoch))))
    finally:
        await server.stop()
    assert peak < 2**25


@pytest.mark.parametrize("config", [BIG])
async def test_a_long_frame_is_answered_in_order_while_others_have_their_turn(site, monkeypatch):
    order = []
    counts = site.broker.hub.presence_counts
    monkeypatch.setattr(
        site.broker.hub, "presence_counts", lambda name: order.append(name) or counts(name)
    )
    async with site.client("1", "open:1") as long, site.client("2", "open:2") as other:
        stats = [{"presence_stats": {"channel": "open:1"}}] * 1000
        await long.send(one_frame(stats))
        await other.send(one_frame([{"presence_stats": {"channel": "open:2"}}]))
        numbers = []
        while len(numbers) < 1000:
            numbers += [json.loads(line)["id"] for line in (await long.recv()).splitlines()]
        await other.recv()
    assert numbers == list(range(2, 1002))
    assert order.index("open:2") < 900


async def test_frames_after_a_long_one_wait_for_it(site):
    async with site.client("1", "open:1") as client:
        for first in range(0, 300, 100):
            commands = [{"id": first + n, "rpc": {}} for n in range(1, 101)]
            await client.send("\n".join(map(json.dumps, commands)))
        numbers = []
        async with asyncio.timeout(20):
            while len(numbers) < 300:
                numbers += [json.loads(line)["id"] for line in (await client.recv()).splitlines()]
    assert numbers == list(range(1, 301))
