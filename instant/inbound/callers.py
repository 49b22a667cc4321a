"""Whether somebody may call a handler: what its declaration says, asked before anything else."""

from __future__ import annotations

import inspect
from typing import Any

from asgiref.sync import async_to_sync

from instant import permissions
from instant.inbound.answers import Refused
from instant.inbound.call import PYTHON, Call
from instant.inbound.registry import Handler
from instant.rights import accounts

__all__ = ["check_caller"]


def check_caller(handler: Handler, call: Call) -> None:
    """
    Refuse whoever may not call it: Refused 401 or 403.

    A method is for users who are logged in unless it says ``anonymous=True``. Of a channel the
    rule of the channel has decided before; ``can`` may only say no to more.

    Of this site's own code, which asks in nobody's name, nothing is asked.
    """
    if call.transport == PYTHON:
        return
    if handler.kind == "rpc" and not handler.anonymous and not permissions.is_known(call.user):
        raise Refused(401, "log in first")
    if handler.can is None:
        return
    if isinstance(handler.can, str):
        allowed: Any = accounts.holds(call.user, handler.can)
    else:
        allowed = handler.can(call)
        if inspect.isawaitable(allowed):
            allowed = async_to_sync(_of)(allowed)
    if not allowed:
        raise Refused


async def _of(awaitable: Any) -> Any:
    return await awaitable
