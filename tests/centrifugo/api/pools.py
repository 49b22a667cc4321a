"""Both pools behind one interface, for tests that hold for both."""

import asyncio

import uvloop

from instant.centrifugo.api.async_pool import AsyncConnectionPool
from instant.centrifugo.api.pool import ConnectionPool

BODY = b'{"channel":"c","data":{},"idempotency_key":"k"}'
OK = b'{"result":{}}'


class Synchronous:
    """The pool as publish() uses it."""

    def __init__(self, url):
        self.pool = ConnectionPool(url, headers={"X-API-Key": "key"})

    def post(self, body=BODY, timeout=2.0):
        return self.pool.post("/api/publish", body, timeout)

    @property
    def idle(self):
        return len(self.pool._idle)

    def close(self):
        self.pool.close()


class Asynchronous:
    """Its twin, in one event loop that runs during the calls."""

    new_loop = staticmethod(asyncio.new_event_loop)

    def __init__(self, url):
        self.pool = AsyncConnectionPool(url, headers={"X-API-Key": "key"})
        self.runner = asyncio.Runner(loop_factory=self.new_loop)

    def post(self, body=BODY, timeout=2.0):
        return self.runner.run(self.pool.post("/api/publish", body, timeout))

    @property
    def idle(self):
        return sum(len(of_loop._idle) for of_loop in self.pool._pools.values())

    def close(self):
        self.runner.close()
        assert self.pool._pools == {}


class OnUvloop(Asynchronous):
    """What ``uvicorn[standard]`` and Granian run."""

    new_loop = staticmethod(uvloop.new_event_loop)


def post(pool, timeout=2.0):
    return pool.post(BODY, timeout)
