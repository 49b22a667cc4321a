"""Both pools behind one interface, for tests that hold for both."""

import asyncio

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

    def __init__(self, url):
        self.pool = AsyncConnectionPool(url, headers={"X-API-Key": "key"})
        self.runner = asyncio.Runner()

    def post(self, body=BODY, timeout=2.0):
        return self.runner.run(self.pool.post("/api/publish", body, timeout))

    @property
    def idle(self):
        return sum(len(of_loop._idle) for of_loop in self.pool._pools.values())

    def close(self):
        self.runner.close()
        assert self.pool._pools == {}


def post(pool, timeout=2.0):
    return pool.post(BODY, timeout)
