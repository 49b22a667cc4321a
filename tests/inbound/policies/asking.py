"""Calls of a test's handlers, through both drivers."""

import asyncio
from types import SimpleNamespace

import pytest
from asgiref.sync import ThreadSensitiveContext

from instant.handlers import Call, Refused
from instant.inbound.dispatch import arun, run
from instant.inbound.registry import handlers


def user(pk, **more):
    return SimpleNamespace(pk=pk, is_authenticated=True, is_active=True, **more)


ANN, BOB = user(1), user(2)
NOBODY = SimpleNamespace(pk=None, is_authenticated=False, is_active=False)


def sync(handler, call):
    return run(handler, call)


def asynchronous(handler, call):
    async def answer():
        async with ThreadSensitiveContext():  # as each request has in Django's ASGIHandler
            return await arun(handler, call)

    return asyncio.run(answer())


DRIVERS = [sync, asynchronous]


def caller(driver):
    """Return what asks a function, or refuses to."""

    def ask(function, data=None, user=ANN, **more):
        [handler] = [h for h in handlers() if h.function is function]
        return driver(handler, Call(user=user, data=data, method=handler.name, **more))

    return ask


def refused(ask, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        ask(*args, **kwargs)
    return caught.value
