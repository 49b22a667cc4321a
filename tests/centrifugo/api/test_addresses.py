"""How the asynchronous transport finds the server's host."""

import asyncio
import contextlib
import os
import socket
import threading
import time

import pytest
import uvloop

from instant.centrifugo.api import addresses
from instant.centrifugo.api.async_pool import AsyncConnectionPool
from instant.centrifugo.api.pool import ConnectionPool
from instant.exceptions import ServerUnreachable
from tests.servers import RawServer, answering

BODY = b'{"channel":"c","data":{},"idempotency_key":"k"}'
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def run(request):
    def run(coroutine):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture
def names(monkeypatch):
    """A name server that knows what a test tells it, and waits where it is told to."""

    class Names:
        def __init__(self):
            self.found = ["127.0.0.1"]
            self.asked = []
            self.answers = threading.Event()
            self.answers.set()

        def __call__(self, host, port, *, flags=0, **kwargs):
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "not numeric")
            self.asked.append(threading.current_thread())
            assert self.answers.wait(10)
            if not self.found:
                raise socket.gaierror(socket.EAI_AGAIN, "no name server")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in self.found]

    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found)
    yield found
    found.answers.set()
    for thread in found.asked:
        thread.join(5)


@pytest.fixture
def dead_end():
    """A port that neither accepts nor refuses: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.9", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def transport_to(port, host="push.example"):
    return AsyncConnectionPool(f"http://{host}:{port}", headers={})


def test_a_numeric_host_needs_no_thread(monkeypatch, run):
    monkeypatch.setattr(threading.Thread, "start", lambda _thread: pytest.fail("a thread"))
    found = run(addresses.Resolver("127.0.0.1", 80).resolve())
    assert [entry[4] for entry in found] == [("127.0.0.1", 80)]
    assert run(addresses.Resolver("::1", 80).resolve())[0][4][:2] == ("::1", 80)


def test_many_calls_on_a_dead_name_server_hold_up_nobody_elses_threads(names, run):
    """30 of them took all threads that asyncio.to_thread() has."""
    names.answers.clear()

    async def main():
        transport = transport_to(80)
        posts = [asyncio.create_task(transport.post("/", BODY, 0.2)) for _ in range(30)]
        while not names.asked:
            await asyncio.sleep(0)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "at once"), 5) == "at once"
        done = await asyncio.gather(*posts, return_exceptions=True)
        assert {type(exc) for exc in done} == {ServerUnreachable}
        assert "not in time" in str(done[0])

    run(main())
    assert len(names.asked) == 1


def test_calls_at_once_share_the_answer(names, run):
    names.answers.clear()

    async def main():
        transport = transport_to(server.port)
        posts = [asyncio.create_task(transport.post("/", BODY, 5)) for _ in range(5)]
        while not names.asked:
            await asyncio.sleep(0)
        names.answers.set()
        assert {status for status, _ in await asyncio.gather(*posts)} == {200}

    with RawServer(answering) as server:
        run(main())
    assert len(names.asked) == 1


def test_an_answer_is_asked_for_anew_each_time(names, run):
    names.found = []

    async def main():
        transport = transport_to(server.port)
        for _ in range(2):
            with pytest.raises(ServerUnreachable, match="no name server"):
                await transport.post("/", BODY, 5)
        names.found = ["127.0.0.1"]
        assert await transport.post("/", BODY, 5) == (200, b'{"result":{}}')

    with RawServer(answering) as server:
        run(main())
    assert len(names.asked) == 3


def test_a_fork_looks_up_for_itself(names):
    """The thread that the parent waits for does not exist in the child."""
    names.answers.clear()
    resolver = addresses.Resolver("push.example", 80)
    pending = resolver._look_up()
    assert not pending.done()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            names.answers = threading.Event()
            names.answers.set()
            if asyncio.run(asyncio.wait_for(resolver.resolve(), 5))[0][4] == ("127.0.0.1", 80):
                status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("kind", [ConnectionPool, AsyncConnectionPool])
def test_what_can_be_no_host_name(kind):
    transport = kind(f"http://{'x' * 64}.example:8427", headers={})
    with pytest.raises(ServerUnreachable, match="not a host name"):
        if kind is ConnectionPool:
            transport.post("/", BODY, 1)
        else:
            asyncio.run(transport.post("/", BODY, 1))


def test_a_dead_address_costs_a_tenth_of_a_second(names, run, dead_end):
    names.found = ["127.0.0.9", "127.0.0.1"]
    with RawServer(answering, port=dead_end) as server:
        transport = transport_to(server.port)
        started = time.monotonic()
        assert run(transport.post("/", BODY, 5))[0] == 200
        assert 0.1 <= time.monotonic() - started < 2.5


def test_a_refusal_costs_nothing(names, run, monkeypatch):
    monkeypatch.setattr(addresses, "_HEAD_START", 30)
    names.found = ["127.0.0.8", "127.0.0.1"]
    with RawServer(answering) as server:
        assert run(transport_to(server.port).post("/", BODY, 10))[0] == 200


def test_refused_everywhere(names, run):
    names.found = ["127.0.0.8", "127.0.0.7"]
    with RawServer(answering) as server:
        port = server.port
    with pytest.raises(ServerUnreachable, match="No connection"):
        run(transport_to(port).post("/", BODY, 5))


def test_dead_everywhere(names, run, dead_end):
    names.found = ["127.0.0.9", "127.0.0.9"]
    with pytest.raises(ServerUnreachable, match="not in time"):
        run(transport_to(dead_end).post("/", BODY, 0.3))


def test_two_that_answer_at_once_leave_nothing_open(names, run, monkeypatch):
    """Whatever comes second is closed; an open socket would warn, which is an error here."""
    monkeypatch.setattr(addresses, "_HEAD_START", 0)
    names.found = ["127.0.0.1", "127.0.0.1", "127.0.0.1"]

    async def main():
        transport = transport_to(server.port)
        for _ in range(20):
            assert (await transport.post("/", BODY, 5))[0] == 200
            transport._pools[asyncio.get_running_loop()].close()

    with RawServer(answering) as server:
        run(main())
