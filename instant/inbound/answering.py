"""Answer a call of somebody without a connection: over HTTP, or gRPC."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest

from instant import conf, permissions
from instant.inbound.answers import Disconnect, Refused
from instant.inbound.call import Call
from instant.inbound.dispatch import arun, run
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.registry import Handler
from instant.inbound.request_transactions import roll_back

__all__ = ["answer"]

logger = logging.getLogger("instant.inbound")


def answer(
    handler: Handler,
    call: Call,
    *,
    request: HttpRequest | None = None,
    within: float | None = None,
) -> str:
    """
    Return what a handler answers, as JSON. Raises Refused, and nothing else.

    An async function is cancelled where it takes longer than ``within`` seconds; nobody can
    end another. Where the ``request`` is a transaction, nothing is kept of a call that is refused.
    """
    try:
        _check_visitor(call)
        return _text(_answer(handler, call, within))
    except Refused:
        roll_back()
        raise
    except Disconnect:
        roll_back()
        raise Refused from None
    except (InterfaceError, OperationalError):
        # Nobody has lost a right because the database was restarted: the caller tries again.
        roll_back()
        logger.exception("%s failed: refused for now.", handler.place)
        raise Refused(503, "not available", temporary=True) from None
    except Exception:
        roll_back()
        logger.exception("%s failed.", handler.place)
        got_request_exception.send(sender=None, request=request)
        raise Refused(500, "internal error") from None


def _check_visitor(call: Call) -> None:
    if not permissions.is_known(call.user) and not conf.current().anonymous:
        raise Refused(401, "log in first")


def _answer(handler: Handler, call: Call, within: float | None) -> Any:
    if within is None or not handler.is_async:
        return run(handler, call)
    ended: Callable[..., Any] = async_to_sync(_within)
    return ended(handler, call, within)


async def _within(handler: Handler, call: Call, seconds: float) -> Any:
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            return await arun(handler, call)
    except TimeoutError:
        if timeout.expired():
            raise Refused(504, "took too long", temporary=True) from None
        raise


def _text(result: Any) -> str:
    return json.dumps(result, cls=AnswerEncoder, separators=(",", ":"), allow_nan=False)
