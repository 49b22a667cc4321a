"""``@responder``: a handler that a process of its own runs; the method by which pages ask it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import async_to_sync

from instant.inbound import dispatch, registry
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.policies.options import PolicyOptions, compiled
from instant.inbound.policies.queue import PRIORITIES, Queue
from instant.inbound.registry import Function, Handler, find_handler
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets.methods import declare
from instant.rights import accounts

if TYPE_CHECKING:
    from instant.inbound.policies.base import Steps

__all__ = ["BACKLOG", "METHOD", "Request", "find_responder", "register"]

METHOD = "instant.request"
"""The method by which pages ask."""

BACKLOG = 1000

_LONGEST = 86_400

_F = TypeVar("_F", bound=Function)


class Request(Queue):
    """Puts a call off for the workers of one responder, unless too many wait already."""

    def __init__(self, name: str, priority: int, backlog: int) -> None:
        if type(priority) is not int or priority not in PRIORITIES:
            raise ValueError(f"priority= takes a whole number from -100 to 100, not {priority!r}.")
        if type(backlog) is not int or backlog < 1:
            raise ValueError(f"backlog= takes a whole number above 0, not {backlog!r}.")
        self.name, self.priority, self.backlog = name, priority, backlog
        _declare()

    def around(self, call: Call, handler: Handler) -> Steps:  # noqa: ARG002
        """Answer with a ticket."""
        from instant.stored.asking import accepted  # noqa: PLC0415  it needs the models

        yield from ()
        return accepted(call, self.name, self.priority, self.backlog)


def register(
    name: str,
    *,
    anonymous: bool,
    can: str | Callable[[Call], Any] | None,
    session: bool,
    backlog: int,
    options: PolicyOptions,
) -> Callable[[_F], _F]:
    """See ``instant.messages.responder()``."""
    given: object = name
    if not isinstance(given, str) or not name:
        raise TypeError(f"responder() takes a name such as 'predict', not {name!r}.")
    if "queue" in options:
        raise TypeError("responder() has no option 'queue': its workers are runworker's.")
    method = f"{REQUESTS}{name}"
    policy = Request(method, options.get("priority", 0), backlog)
    if session:
        _declare(session=True)
    # What is kept is an answer: a ticket is its caller's alone, and may fail or be cancelled.
    before = ("rate", "per", "once")
    rest = {key: value for key, value in options.items() if key != "priority"}
    front: Any = {key: value for key, value in rest.items() if key in before}
    behind: Any = {key: value for key, value in rest.items() if key not in before}
    return registry.register(
        "rpc",
        method,
        anonymous=anonymous,
        can=_rule(name, can),
        session=session,
        policies=(*compiled(front), policy, *compiled(behind)),
    )


def find_responder(name: str) -> Handler | None:
    """Return the handler that answers requests of this name."""
    return find_handler("rpc", f"{REQUESTS}{name}")


def _rule(name: str, can: str | Callable[[Call], Any] | None) -> Callable[[Call], bool]:
    """Return who may ask: whom the declaration lets, and the channel of that name, if any."""

    def may_ask(call: Call) -> bool:
        from instant.stored.asking import channel_allows  # noqa: PLC0415  it needs the models

        allowed: Any = True
        if isinstance(can, str):
            allowed = accounts.holds(call.user, can)
        elif can is not None:
            allowed = can(call)
            if inspect.isawaitable(allowed):
                allowed = async_to_sync(_of)(allowed)
        return bool(allowed) and channel_allows(call.user, name)

    return may_ask


async def _of(awaitable: Any) -> Any:
    return await awaitable


def _declare(*, session: bool = False) -> None:
    """Register the method, once; with the caller's session where a responder has it."""
    declare(session=session)
    if find_handler("rpc", METHOD) is None:
        registry.register("rpc", METHOD, anonymous=True)(ask)
    if session:
        listed = registry._registry  # noqa: SLF001  a handler of ours
        listed[:] = [replace(h, session=True) if h.function is ask else h for h in listed]


def ask(call: Call, name: str, data: Any = None, timeout: float | None = None) -> Any:
    """Put a request for a page; it gets a ticket, as for a handler with a queue."""
    handler = find_responder(name)
    if handler is None:
        raise Refused(404, "there is no such responder")
    if timeout is not None and not 0 < timeout <= _LONGEST:
        text = f"takes a number of seconds up to {_LONGEST:,}"
        raise Refused(422, f"timeout: {text}", fields={"timeout": text})
    call.method, call.data, call._within = handler.name, data, timeout  # noqa: SLF001  ours
    return dispatch.run(handler, call)
