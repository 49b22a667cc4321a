"""The server in a thread of its own, for tests and notebooks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, Self

from .server import EmbeddedServer

_PATIENCE = 10.0
"""Seconds that starting and stopping may take, far more than either does."""


class ThreadedServer:
    """
    An EmbeddedServer that runs beside the caller's code; a context manager.

    ``port`` is the one it got. The environment does not override the config. Leaving the
    context disconnects all clients and frees the port. Raises ConfigError and OSError.
    """

    def __init__(
        self, config: Mapping[str, Any], *, address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.address = address
        self.port = port
        self._server = EmbeddedServer(config, variables={})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="instant-server", daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(
            self._server.start(self.address, self.port), self._loop
        )
        try:
            self.port = starting.result(_PATIENCE)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(_PATIENCE)
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
