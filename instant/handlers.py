"""
Functions that answer what browsers and other callers ask: declare them in ``realtime.py``.

Each gets a ``Call`` first, and behind it what the payload says, checked against its annotations.
It returns what the caller gets, or raises ``Refused`` or ``Disconnect``. It may be ``async def``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, Unpack

from instant.inbound.answers import Disconnect, Refused
from instant.inbound.call import Call
from instant.inbound.listening.message import Message
from instant.inbound.policies.base import Policy, Proceed, Wait
from instant.inbound.policies.options import PolicyOptions, compiled
from instant.inbound.registry import Function, register
from instant.namespaces import Namespace

__all__ = [
    "Call",
    "Disconnect",
    "Message",
    "Policy",
    "Proceed",
    "Refused",
    "Wait",
    "on_message",
    "on_publish",
    "on_rpc",
]

_F = TypeVar("_F", bound=Function)


def on_rpc(
    method: str,
    *,
    anonymous: bool = False,
    can: str | Callable[[Call], Any] | None = None,
    session: bool = False,
    pool: str = "",
    **options: Unpack[PolicyOptions],
) -> Callable[[_F], _F]:
    """
    Answer a method that a page calls: ``instant.rpc("cart.add", {product: 7})``.

    ``method`` may have ``*`` in it (``"report.*"``); the handler that names a method most closely
    answers. For users who are logged in, unless ``anonymous``; ``can`` is a permission such as
    ``"shop.add_order"``, or a function of the call that tells whether it may go on. What the
    function returns is encoded by DjangoJSONEncoder; dataclasses and pydantic models too.
    """
    return register(
        "rpc",
        method,
        anonymous=anonymous,
        can=can,
        session=session,
        pool=pool,
        policies=compiled(options),
    )


def on_publish(
    channel: str | type[Namespace],
    *,
    can: Callable[[Call], Any] | str | None = None,
    session: bool = False,
    **options: Unpack[PolicyOptions],
) -> Callable[[_F], _F]:
    """
    See what a page publishes before anybody else does, after the channel's own rule allowed it.

    ``channel`` is a namespace, whose arguments the function gets, or a name such as ``"chat:*"``.
    What it returns, a dict, is published; ``call.data``, which it may change, where it returns
    None. Nothing is published where it raises.
    """
    return register("publish", channel, can=can, session=session, policies=compiled(options))


def on_message(channel: str | type[Namespace]) -> Callable[[_F], _F]:
    """
    Call a function with each ``Message`` that is published, in ``manage.py runlisteners``.

    ``channel`` is a name (``"news"``), a pattern (``"order:*"``) or a namespace. A name is
    listened to at the server. Of what a pattern or a namespace matches a copy is published: for
    what ``publish()`` and its relatives send, and what pages publish where the server asks
    Django. At least once and in the order of each channel; several functions may take one channel.
    """
    return register("message", channel)
