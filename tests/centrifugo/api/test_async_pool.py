"""What only the asynchronous pool has: event loops, tasks and cancellation."""

import asyncio
import threading

import pytest
from asgiref.sync import async_to_sync

from instant.centrifugo.api.async_pool import AsyncConnectionPool
from tests.centrifugo.api.pools import BODY, OK
from tests.servers import RawServer, answering

pytestmark = pytest.mark.timed


async def apost(pool, timeout=2.0):
    return await pool.post("/api/publish", BODY, timeout)


def test_async_to_sync_leaves_nothing_open():
    """Under WSGI each call has an event loop of its own; warnings are errors here."""
    with RawServer(answering) as server:
        pool = AsyncConnectionPool(server.url, headers={})
        for _ in range(3):
            assert async_to_sync(apost)(pool) == (200, OK)
        assert server.connections == 3
        assert pool._pools == {}


def test_a_loop_that_ends_without_manners_is_forgotten():
    with RawServer(answering) as server:
        pool = AsyncConnectionPool(server.url, headers={})
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(apost(pool)) == (200, OK)
        [of_loop] = pool._pools.values()
        of_loop.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        assert asyncio.run(apost(pool)) == (200, OK)
        assert pool._pools == {}


async def test_tasks_share_the_pool_without_mixing_answers():
    def numbered(connection):
        while True:
            _, body = connection.read_request()
            connection.answer(body)

    with RawServer(numbered) as server:
        pool = AsyncConnectionPool(server.url, headers={})

        async def work(number):
            for round_ in range(20):
                body = f"{number}-{round_}".encode() * 50
                assert await pool.post("/", body, 5) == (200, body)

        await asyncio.gather(*(work(number) for number in range(8)))
        assert server.connections <= 8


async def test_a_cancelled_publish_leaves_its_answer_to_nobody():
    waiting, answer = threading.Event(), threading.Event()

    def late(connection):
        connection.read_request()
        if server.connections == 1:
            waiting.set()
            answer.wait(60)
            connection.answer(b'{"result":{"offset":666}}')
        else:
            connection.answer()
        connection.read_request()

    with RawServer(late) as server:
        pool = AsyncConnectionPool(server.url, headers={})
        task = asyncio.create_task(apost(pool, 5))
        await asyncio.to_thread(waiting.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer.set()
        assert await apost(pool) == (200, OK)
