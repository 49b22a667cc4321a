"""
Wait for a function that isn't async, so long and no longer.

Nothing can end a thread. So it runs in one of its own, with its own connections to databases;
when its time is over nobody waits for it any more, and it ends at its next query: the one it is
waiting for is cancelled (PostgreSQL, SQLite), and others are refused. Until then it may still
write and commit. Its connections are closed when it has ended, which is logged.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.db import OperationalError, connections
from django.utils import timezone, translation

from instant.inbound.answers import Refused
from instant.tenancy import current as tenancy

__all__ = ["MOST_OVERDUE", "OutOfTime", "arun", "run"]

logger = logging.getLogger("instant.handlers")

MOST_OVERDUE = 16
"""Threads of this process that nobody waits for any more; with so many, calls are refused."""

_overdue: set[_Overrun] = set()


class OutOfTime(TimeoutError):
    """It took too long."""


class _Around:
    """What a function finds in the thread of its call, and has to find in its own."""

    def __init__(self) -> None:
        self.in_transaction = any(
            connection.in_atomic_block for connection in connections.all(initialized_only=True)
        )
        self._tenant = tenancy.current() if tenancy.are_used() else None
        self._language = translation.get_language()
        self._timezone = timezone.get_current_timezone()

    def enter(self, stack: ExitStack) -> None:
        """Make it so here, as long as the stack is open."""
        stack.enter_context(translation.override(self._language))
        stack.enter_context(timezone.override(self._timezone))
        if self._tenant is not None:
            stack.enter_context(tenancy.activate(self._tenant))


class _Overrun:
    """A thread that runs a function, and what it is to do when nobody waits any more."""

    def __init__(self, function: Callable[[], Any], name: str, around: _Around) -> None:
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()  # nobody can cancel a thread
        self._function = function
        self._name = name
        self._is_over = False
        self._wrappers: list[Any] = []
        self._cancelling = threading.Lock()
        self._began = time.monotonic()
        self._around = around
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._run,), name="instant-handler", daemon=True
        ).start()

    def abandon(self) -> None:
        """Wait no longer: let it end at its next query."""
        _overdue.add(self)
        self._is_over = True
        if self.future.done():
            _overdue.discard(self)
            return
        with self._cancelling:  # after that they may be somebody else's, out of a pool
            for wrapper in self._wrappers:
                _cancel(wrapper)

    def _run(self) -> None:
        result: Any = None
        failed: BaseException | None = None
        try:
            result = self._result()
        except BaseException as exc:  # noqa: BLE001  whoever waits gets it
            failed = exc
        with self._cancelling:
            self._wrappers = []
        with suppress(Exception):
            connections.close_all()
        if failed is not None:
            self.future.set_exception(failed)
        else:
            self.future.set_result(result)
        _overdue.discard(self)
        if self._is_over:
            self._tell(failed)

    def _result(self) -> Any:
        with ExitStack() as stack:
            for wrapper in connections.all():
                stack.enter_context(wrapper.execute_wrapper(self._execute))
                self._wrappers.append(wrapper)
            self._around.enter(stack)
            return self._function()

    def _execute(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        if self._is_over:
            raise OperationalError(f"{self._name} took too long: nobody waits for it any more.")
        return execute(sql, params, many, context)

    def _tell(self, failed: BaseException | None) -> None:
        logger.warning(
            "%s ended after %.1f s, when nobody waited for it any more: %s",
            self._name,
            time.monotonic() - self._began,
            "it did all it had to" if failed is None else repr(failed),
        )


def run(function: Callable[[], Any], seconds: float, name: str) -> Any:
    """
    Return what it returns, or raise what it raises, or OutOfTime when so many seconds are over.

    In a transaction it runs here, in it, and as long as it likes: a thread would be outside of it.
    Raises Refused (503) while too many run that nobody waits for.
    """
    around = _Around()
    if around.in_transaction:
        return function()
    overrun = _start(function, name, around)
    try:
        return overrun.future.result(seconds)
    except TimeoutError:
        if overrun.future.done():  # it is the function's own, or it has ended just now
            return overrun.future.result()
        overrun.abandon()
        raise OutOfTime from None


async def arun(function: Callable[[], Any], seconds: float, name: str) -> Any:
    """See run()."""
    around = await sync_to_async(_Around)()
    if around.in_transaction:
        return await sync_to_async(function)()
    overrun = _start(function, name, around)
    waited = asyncio.wrap_future(overrun.future)
    try:
        await asyncio.wait([waited], timeout=seconds)
        if waited.done():
            return waited.result()
        raise OutOfTime
    finally:
        if not waited.done():  # also where whoever waits was cancelled
            waited.cancel()
            # It may ask the database's server.
            asyncio.get_running_loop().run_in_executor(None, overrun.abandon)


def _start(function: Callable[[], Any], name: str, around: _Around) -> _Overrun:
    if len(_overdue) >= MOST_OVERDUE:
        logger.error("%s is refused: too many calls run that nobody waits for any more.", name)
        raise Refused(503, "not available", temporary=True)
    return _Overrun(function, name, around)


def _cancel(wrapper: Any) -> None:
    """End the query that another thread is waiting for, where the database's library can."""
    connection = wrapper.connection
    cancel = {"postgresql": "cancel", "sqlite": "interrupt"}.get(wrapper.vendor)
    if connection is not None and cancel is not None:
        with suppress(Exception):  # it may have ended, or been closed, meanwhile
            getattr(connection, cancel)()
