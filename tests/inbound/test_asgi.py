"""The endpoints under a server for ASGI: what waits holds up nothing else."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
import uvicorn
from django.core.asgi import get_asgi_application
from django.test import override_settings

from instant import on_rpc
from instant.centrifugo.proxy import HEADER
from tests.inbound.asking import SECRET, body, error

pytestmark = pytest.mark.usefixtures("registry")

PATIENCE = 60
CALLS = 40


class Server(uvicorn.Server):
    def __init__(self):
        super().__init__(
            uvicorn.Config(
                get_asgi_application(),
                host="127.0.0.1",
                port=0,
                lifespan="off",
                log_config=None,
                ws="none",
            )
        )
        self.listens = threading.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.listens.set()

    @property
    def port(self):
        return self.servers[0].sockets[0].getsockname()[1]


@pytest.fixture
def server():
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        server = Server()
        thread = threading.Thread(target=server.run)
        thread.start()
        assert server.listens.wait(PATIENCE)
        yield server
        server.should_exit = True
        thread.join()


def call(server, method, data=None, *, secret=SECRET, raw=None):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    text = raw or json.dumps(body("", method=method, data=data))
    headers = {HEADER: secret, "Content-Type": "application/json"}
    try:
        connection.request("POST", "/instant/proxy/rpc/", text, headers)
        response = connection.getresponse()
        assert response.status == 200
        return json.loads(response.read())
    finally:
        connection.close()


def test_async_handlers_wait_for_each_other_on_one_loop(server):
    threads, waiting = set(), []
    all_there = asyncio.Event()

    @on_rpc("wait", anonymous=True)
    async def wait(call, n: int):
        threads.add(threading.get_ident())
        waiting.append(n)
        if len(waiting) == CALLS:
            all_there.set()
        await all_there.wait()
        return n

    with ThreadPoolExecutor(CALLS) as pool:
        found = list(pool.map(lambda n: call(server, "wait", {"n": n}), range(CALLS)))
    assert found == [{"result": {"data": n}} for n in range(CALLS)]
    assert len(threads) == 1


def test_a_sync_handler_does_not_block_the_loop(server):
    entered, released = threading.Event(), threading.Event()

    @on_rpc("block", anonymous=True)
    def block(call):
        entered.set()
        return released.wait(PATIENCE)

    @on_rpc("release", anonymous=True)
    async def release(call):
        released.set()

    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(call, server, "block")
        assert entered.wait(PATIENCE)
        call(server, "release")
        assert blocked.result() == {"result": {"data": True}}


def test_what_is_refused_is_refused_there_too(server):
    @on_rpc("x", anonymous=True)
    async def handler(call, n: int):
        raise AssertionError

    assert call(server, "x", secret="no") == error(403, "permission denied")
    assert call(server, "x", {"n": "x"})["error"]["code"] == 422
    assert call(server, "y") == error(404, "there is no such method")
    assert call(server, "x", raw="x" * 1_000_001) == error(400, "bad request")

    def chunks():
        yield from [b"x" * 65_536] * 20

    assert call(server, "x", raw=chunks()) == error(400, "bad request")
