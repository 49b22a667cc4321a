"""Run a handler: who may, its arguments, its policies, the function."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from instant.inbound import deadline
from instant.inbound.call import Call
from instant.inbound.callers import check_caller
from instant.inbound.page_publication import arguments_of
from instant.inbound.policies.base import Policy, Proceed, Steps, Wait
from instant.inbound.registry import Handler

__all__ = ["arun", "resume", "run"]


def run(handler: Handler, call: Call) -> Any:
    """
    Answer a call. Raises Refused and Disconnect as policies and the function do.

    Rights are asked before anything that the caller has sent is read.
    """
    _prepare(handler, call)
    return _drive(handler, call, handler.policies)


async def arun(handler: Handler, call: Call) -> Any:
    """See run(); a function that isn't async, rights and policies run in a thread."""
    await sync_to_async(_prepare)(handler, call)
    return await _adrive(handler, call, handler.policies)


def resume(handler: Handler, call: Call, *, asks: bool = True) -> Any:
    """
    Answer a call that a policy has put off: rights are asked, and the payload is read, again.

    The policies up to that one it has met before. Unless it ``asks``, rights were asked just now,
    by whoever has the database.
    """
    if asks:
        check_caller(handler, call)
    call.arguments = handler.arguments.read(call.data, call.kwargs)
    met = [policy.defers for policy in handler.policies]
    # A deployment may have taken the queue away since: then it meets them all.
    at = met.index(True) + 1 if True in met else 0
    return _drive(handler, call, handler.policies[at:])


def _prepare(handler: Handler, call: Call) -> None:
    check_caller(handler, call)
    call.arguments = handler.arguments.read(arguments_of(call), call.kwargs)


def _drive(handler: Handler, call: Call, policies: Sequence[Policy]) -> Any:
    if not policies:
        function = async_to_sync(handler.function) if handler.is_async else handler.function
        return function(call, **call.arguments)
    steps = policies[0].around(call, handler)
    try:
        ended, step = _next(steps, None)
        while not ended:
            try:
                if isinstance(step, Wait):
                    time.sleep(step.seconds)
                    answer = None
                else:
                    answer = _proceed(handler, call, policies[1:], step)
            except Exception as exc:  # noqa: BLE001  the policy's to handle
                ended, step = _throw(steps, exc)
            else:
                ended, step = _next(steps, answer)
    finally:
        steps.close()
    return step


def _proceed(handler: Handler, call: Call, policies: Sequence[Policy], step: Proceed) -> Any:
    if step.within is None:
        return _drive(handler, call, policies)
    if handler.is_async:
        return async_to_sync(_aproceed)(handler, call, policies, step)
    return deadline.run(partial(_drive, handler, call, policies), step.within, handler.place)


async def _adrive(handler: Handler, call: Call, policies: Sequence[Policy]) -> Any:
    if not policies:
        if handler.is_async:
            return await handler.function(call, **call.arguments)
        return await sync_to_async(handler.function)(call, **call.arguments)
    steps = policies[0].around(call, handler)
    try:
        ended, step = await sync_to_async(_next)(steps, None)
        while not ended:
            try:
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                    answer = None
                else:
                    answer = await _aproceed(handler, call, policies[1:], step)
            except Exception as exc:  # noqa: BLE001  the policy's to handle
                ended, step = await sync_to_async(_throw)(steps, exc)
            else:
                ended, step = await sync_to_async(_next)(steps, answer)
    except asyncio.CancelledError:
        # In the thread of the steps, behind the one that it may be in, and whoever cancels again.
        await asyncio.shield(asyncio.ensure_future(sync_to_async(steps.close)()))
        raise
    return step


async def _aproceed(handler: Handler, call: Call, policies: Sequence[Policy], step: Proceed) -> Any:
    if step.within is None:
        return await _adrive(handler, call, policies)
    if not handler.is_async:
        driven = partial(_drive, handler, call, policies)
        return await deadline.arun(driven, step.within, handler.place)
    try:
        async with asyncio.timeout(step.within) as scope:
            return await _adrive(handler, call, policies)
    except TimeoutError:
        if scope.expired():
            raise deadline.OutOfTime from None
        raise


def _next(steps: Steps, answer: Any) -> tuple[bool, Any]:
    """Return whether a policy has ended, and its answer or its next step."""
    try:
        return False, steps.send(answer)
    except StopIteration as end:
        return True, end.value


def _throw(steps: Steps, exc: Exception) -> tuple[bool, Any]:
    try:
        return False, steps.throw(exc)
    except StopIteration as end:
        return True, end.value
