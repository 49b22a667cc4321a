"""The options of a handler that are policies, and the order in which a call meets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

from instant.inbound.policies.base import Policy
from instant.inbound.policies.cached import Cached, Vary
from instant.inbound.policies.keys import Per
from instant.inbound.policies.once import Once
from instant.inbound.policies.queue import Queue
from instant.inbound.policies.rate import RateLimit
from instant.inbound.policies.timeout import Timeout

__all__ = ["PolicyOptions", "compiled"]


class PolicyOptions(TypedDict, total=False):
    """What ``@on_rpc`` and its relatives take beside who may call."""

    rate: str | None
    """How many calls are answered, such as ``"20/m"`` or ``"5/10s"``; others are refused (429)."""
    per: Per
    """
    What ``rate`` counts together: ``"user"``, ``"client"`` (a connection), ``"address"``, or a
    function of the call; where it returns None, the call isn't counted.
    """
    once: bool | float
    """Whether a call that is repeated with its id is answered from memory; seconds, or an hour."""
    cache: float | None
    """For how many seconds an answer is kept."""
    vary: Vary | Sequence[Vary]
    """What has an answer of its own besides: attributes of the call, or functions of it."""
    shared: bool
    """Whether all users get the answer that is kept for one."""
    timeout: float | None
    """Seconds after which the call is answered 504."""
    queue: str
    """
    Accept the call at once, with a ticket, and run it later: a job of the queue of this name.

    As the same user, whose rights are asked again. ``call.progress()`` tells how far it is.
    """
    priority: int
    """Of jobs that wait in a queue the one with the higher number goes first: -100 to 100, or 0."""
    policies: Sequence[Policy]
    """Policies of your own; a call meets them after ours."""


def compiled(options: PolicyOptions) -> tuple[Policy, ...]:
    """Return the policies that the options name. Raises TypeError for others."""
    unknown = options.keys() - PolicyOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(sorted(PolicyOptions.__annotations__))
        raise TypeError(f"A handler has no option {min(unknown)!r}; known are {known}.")
    return (*_ours(options), *options.get("policies", ()))


def _ours(options: PolicyOptions) -> Iterator[Policy]:
    rate, cache, timeout = options.get("rate"), options.get("cache"), options.get("timeout")
    if rate is not None:
        yield RateLimit(rate, options.get("per", "user"))
    elif "per" in options:
        raise TypeError("A handler with per= has rate= too.")
    if (once := options.get("once", False)) is not False:
        yield Once(once)
    if cache is not None and "queue" in options:
        raise TypeError(
            "cache= and queue= don't go together: a ticket would be kept, which is its caller's "
            "alone. Let the function keep what it computes in Django's cache."
        )
    if cache is not None:
        yield Cached(cache, options.get("vary", ()), shared=options.get("shared", False))
    elif "vary" in options or "shared" in options:
        raise TypeError("A handler with vary= or shared= has cache= too.")
    if "queue" in options:
        yield Queue(options["queue"], options.get("priority", 0))
    elif "priority" in options:
        raise TypeError("priority= is for handlers with queue=: others are answered at once.")
    if timeout is not None:
        yield Timeout(timeout)
