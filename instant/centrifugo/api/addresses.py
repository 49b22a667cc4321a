"""The addresses of the server's host: looked up, and tried until one answers."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from instant.centrifugo.api.http1 import NotConnected
from instant.centrifugo.api.pool import Address, look_up

__all__ = ["Resolver", "connect"]

_HEAD_START = 0.1
"""Seconds that an address has before the next one is tried as well (RFC 8305, “Happy Eyeballs”)."""


class Resolver:
    """
    Looks up one host for any number of event loops, in a thread of its own.

    The threads of the event loop are everybody's: a dead name server would hold up what others
    run in them. There is one look-up at a time, and whoever comes meanwhile waits for its answer.
    """

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._running: tuple[int, Future[Sequence[Address]]] | None = None

    async def resolve(self) -> Sequence[Address]:
        """Return the addresses of the host; raise NotConnected."""
        with suppress(NotConnected):  # a name, most often
            return look_up(*self._place, flags=socket.AI_NUMERICHOST)
        try:
            return await asyncio.wrap_future(self._look_up())
        except NotConnected as exc:  # others may be raising the same object now
            raise NotConnected(*exc.args) from None

    def _look_up(self) -> Future[Sequence[Address]]:
        running = self._running
        # After a fork its thread is the parent's. If two threads begin one each, no harm is done.
        if running is None or running[0] != os.getpid() or running[1].done():
            future: Future[Sequence[Address]] = Future()
            future.set_running_or_notify_cancel()  # so that who waits no more cancels it for nobody
            thread = threading.Thread(
                target=self._run, args=(future,), name="instant-resolver", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as exc:  # at the interpreter's end, or without threads
                raise NotConnected(str(exc)) from exc
            running = self._running = os.getpid(), future
        return running[1]

    def _run(self, future: Future[Sequence[Address]]) -> None:
        try:
            future.set_result(look_up(*self._place))
        except BaseException as exc:  # noqa: BLE001  it is raised where somebody waits
            future.set_exception(exc)


async def connect(addresses: Sequence[Address]) -> socket.socket:
    """
    Return a socket that is connected to the address which answers first; raise OSError.

    Any event loop can do this; the same in asyncio's ``create_connection()`` is unknown to uvloop.
    """
    *others, last = addresses
    if not others:
        return await _connect(last)
    waiting = [last, *reversed(others)]
    running: set[asyncio.Task[socket.socket]] = set()
    refusal: OSError = NotConnected("the host has no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_connect(waiting.pop())))
            await asyncio.wait(
                running,
                timeout=_HEAD_START if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in [task for task in running if task.done()]:
                running.remove(task)
                try:
                    return task.result()
                except OSError as exc:
                    refusal = exc
        raise refusal
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close)


async def _connect(address: Address) -> socket.socket:
    family, kind, proto, _name, place = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)  # noqa: FBT003  its only parameter
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(task: asyncio.Task[socket.socket]) -> None:
    """Close what was connected in the moment in which another address was."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
