"""The asynchronous transport on every event loop that Django runs on."""

import asyncio
import subprocess
import sys
import threading

import anyio
import pytest
import uvloop
from asgiref.sync import async_to_sync

from instant.centrifugo.api.async_pool import AsyncConnectionPool
from instant.exceptions import InvalidReply
from tests.servers import RawServer, answering

BODY = b'{"channel":"c","data":{},"idempotency_key":"k"}'
OK = b'{"result":{}}'
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def run(request):
    """Run a coroutine in an event loop of its own."""

    def run(coroutine):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(coroutine)

    return run


async def apost(transport, timeout=2.0):
    return await transport.post("/api/publish", BODY, timeout)


def test_each_loop_has_connections_of_its_own(run):
    async def twice(transport):
        return [await apost(transport), await apost(transport)]

    with RawServer(answering) as server:
        transport = AsyncConnectionPool(server.url, headers={})
        assert run(twice(transport)) == [(200, OK)] * 2
        assert run(twice(transport)) == [(200, OK)] * 2
        assert server.connections == 2
        assert transport._pools == {}


def test_async_to_sync_leaves_nothing_open():
    """Under WSGI each call has an event loop of its own; warnings are errors here."""
    with RawServer(answering) as server:
        transport = AsyncConnectionPool(server.url, headers={})
        for _ in range(3):
            assert async_to_sync(apost)(transport) == (200, OK)
        assert server.connections == 3
        assert transport._pools == {}


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
def test_a_loop_that_ends_without_manners_is_forgotten(new_loop):
    with RawServer(answering) as server:
        transport = AsyncConnectionPool(server.url, headers={})
        loop = new_loop()
        assert loop.run_until_complete(apost(transport)) == (200, OK)
        [pool] = transport._pools.values()
        pool.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        assert asyncio.run(apost(transport)) == (200, OK)
        assert transport._pools == {}


def test_loops_of_other_threads_come_and_go_at_any_moment():
    with RawServer(answering) as server:
        transport = AsyncConnectionPool(server.url, headers={})

        class AnothersLoop:
            def is_closed(self):
                """Be asked, while another thread begins with a loop of its own."""
                transport._pools[AnothersLoop()] = None
                return True

        transport._pools = {AnothersLoop(): None, AnothersLoop(): None}
        assert asyncio.run(apost(transport)) == (200, OK)
        assert len(transport._pools) == 2  # of the others, who were not asked yet


def test_threads_begin_with_loops_at_once():
    """As under WSGI, where each request of an async view has a loop: nothing is lost or mixed."""
    wrong = []

    def work(transport):
        try:
            for _ in range(20):
                # That each is answered is what counts, not how soon: threads are switched all the time.
                assert async_to_sync(apost)(transport, 60) == (200, OK)
        except Exception as exc:
            wrong.append(exc)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with RawServer(answering) as server:
            transport = AsyncConnectionPool(server.url, headers={})
            threads = [threading.Thread(target=work, args=(transport,)) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert wrong == []
            assert transport._pools == {}
    finally:
        sys.setswitchinterval(before)


def test_tasks_share_the_pool_without_mixing_answers(run):
    def numbered(connection):
        while True:
            _, body = connection.read_request()
            connection.answer(body)

    with RawServer(numbered) as server:
        transport = AsyncConnectionPool(server.url, headers={})

        async def work(number):
            for round_ in range(20):
                body = f"{number}-{round_}".encode() * 50
                assert await transport.post("/", body, 5) == (200, body)

        async def together():
            await asyncio.gather(*(work(number) for number in range(8)))

        run(together())
        assert server.connections <= 8


def test_a_cancelled_publish_leaves_its_answer_to_nobody(run):
    waiting, answer = threading.Event(), threading.Event()

    def late(connection):
        connection.read_request()
        if server.connections == 1:
            waiting.set()
            answer.wait(5)
            connection.answer(b'{"result":{"offset":666}}')
        else:
            connection.answer()
        connection.read_request()

    async def cancel():
        transport = AsyncConnectionPool(server.url, headers={})
        task = asyncio.create_task(apost(transport, 5))
        await asyncio.to_thread(waiting.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer.set()
        return await apost(transport)

    with RawServer(late) as server:
        assert run(cancel()) == (200, OK)


def test_what_comes_with_the_connection_is_read_as_the_answer(run, monkeypatch):
    """Whether a loop reads before or after it tells of a connection."""
    connect = AsyncConnectionPool._connect

    async def after_the_greeting(transport, loop, deadline):
        connection = await connect(transport, loop, deadline)
        while not connection._data and not connection.transport.is_closing():
            await asyncio.sleep(0)
        return connection

    def ssh(connection):
        connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.read_request()

    monkeypatch.setattr(AsyncConnectionPool, "_connect", after_the_greeting)
    with RawServer(ssh) as server, pytest.raises(InvalidReply, match="Is it Centrifugo"):
        run(apost(AsyncConnectionPool(server.url, headers={})))


@pytest.mark.parametrize("on_uvloop", [False, True])
def test_anyio(on_uvloop):
    """Whose task groups cancel again and again until a task is gone."""
    answer = threading.Event()

    def first_is_silent(connection):
        connection.read_request()
        if server.connections == 1:
            answer.wait(5)
        connection.answer()

    async def main():
        transport = AsyncConnectionPool(server.url, headers={})
        with anyio.move_on_after(0.05) as scope:
            await apost(transport, 5)
        assert scope.cancelled_caught
        answer.set()
        return await apost(transport)

    with RawServer(first_is_silent) as server:
        found = anyio.run(main, backend_options={"use_uvloop": on_uvloop})
        assert found == (200, OK)


GEVENT = """
from gevent import monkey; monkey.patch_all()
import asyncio, gevent
from instant.centrifugo.api.async_pool import AsyncConnectionPool
from instant.centrifugo.api.pool import ConnectionPool

transport = ConnectionPool({url!r}, headers={{}})
jobs = [gevent.spawn(transport.post, "/", b"", 5) for _ in range(5)]
gevent.joinall(jobs)
print({{job.value for job in jobs}}, transport.post("/", b"", 5), len(transport._idle))

apost = AsyncConnectionPool({url!r}, headers={{}}).post
print(asyncio.run(apost("/", b"", 5)))
"""


def test_gevent():
    """Patched before all else, as gunicorn's gevent workers are."""
    with RawServer(answering) as server:
        code = GEVENT.format(url=server.url.replace("127.0.0.1", "localhost"))
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
        )
    assert done.stdout == f"{{(200, {OK})}} (200, {OK}) 5\n(200, {OK})\n", done.stderr
