"""
Functions that answer what browsers and other callers ask: declare them in ``realtime.py``.

Each gets a ``Call`` first, and behind it what the payload says, checked against its annotations.
It returns what the caller gets, or raises ``Refused`` or ``Disconnect``. It may be ``async def``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Never, TypeVar, Unpack

from instant.inbound.answers import Cancelled, Disconnect, Published, Refused
from instant.inbound.call import Call
from instant.inbound.listening.message import Message
from instant.inbound.outgoing import Outgoing
from instant.inbound.policies.base import Policy, Proceed, Wait
from instant.inbound.policies.options import PolicyOptions, compiled
from instant.inbound.registry import Function, register
from instant.inbound.tickets.methods import declare
from instant.namespaces import Namespace

__all__ = [
    "Call",
    "Cancelled",
    "Disconnect",
    "Message",
    "Outgoing",
    "Policy",
    "Proceed",
    "Published",
    "Refused",
    "Wait",
    "before_send",
    "on_connect",
    "on_message",
    "on_publish",
    "on_refresh",
    "on_rpc",
    "on_subscribe",
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
    if session and "queue" in options:
        declare(session=True)
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
    Its arguments are those of the data that is published; a ``message`` beside it is one, too. A
    dict that it returns is the new data, without that message; ``Published`` says all of it. Where
    it returns None, what the page has sent is published: ``call.data``, ``call.message`` and
    ``call.event_class``, which it may change. Nothing is published where it raises.
    """
    return register("publish", channel, can=can, session=session, policies=compiled(options))


def on_message(channel: str | type[Namespace], **options: Never) -> Callable[[_F], _F]:
    """
    Call a function with each ``Message`` that is published, in ``manage.py runlisteners``.

    ``channel`` is a name (``"news"``), a pattern (``"order:*"``) or a namespace. A name is
    listened to at the server. Of what a pattern or a namespace matches a copy is published: for
    what ``publish()`` and its relatives send, and what pages publish where the server asks
    Django. At least once and in the order of each channel; several functions may take one channel.
    """
    _refuse_options("message", options)
    return register("message", channel)


def on_connect(function: _F = None, /, **options: Never) -> _F:  # type: ignore[assignment]
    """
    Be asked whenever ``get_token/`` signs a token with which a page connects.

    All of them are asked, in the order of their declaration. Where one raises ``Refused`` the page
    gets no token. What they return, dicts, is together the connection's meta: ``call.meta`` of what
    the connection asks later, which the page does not see. ``call.data["refresh"]`` says whether
    the page renews the token of an open connection; a parameter ``refresh`` gets it, too.
    """
    _check_bare("connect", function, options)
    return register("connect", "*")(function)


def on_refresh(function: _F = None, /, **options: Never) -> _F:  # type: ignore[assignment]
    """
    Be asked, after ``@on_connect``, where a page says that it renews an open connection's token.

    A page may as well not say so: what has to hold always belongs into ``@on_connect``.
    """
    _check_bare("refresh", function, options)
    return register("refresh", "*")(function)


def on_subscribe(
    channel: str | type[Namespace],
    *,
    can: Callable[[Call], Any] | str | None = None,
    session: bool = False,
    **options: Never,
) -> Callable[[_F], _F]:
    """
    Be asked when somebody is about to subscribe, after the channel's own rule allowed it.

    Where Django signs a token for the channel; it is left out where the handler raises
    ``Refused``. With ``authorize = "proxy"`` whenever a page subscribes; what the handler returns
    is then what the page gets as the subscription's data. Whether somebody may stay is asked of the
    rule alone.
    """
    _refuse_options("subscribe", options)
    return register("subscribe", channel, can=can, session=session)


def before_send(
    channel: str | type[Namespace] = "*", *, event_class: str = "", **options: Never
) -> Callable[[_F], _F]:
    """
    See what Python publishes before it is sent: ``publish()``, ``broadcast()`` and their like.

    In the process that publishes, in the middle of ``publish()``. The function gets an
    ``Outgoing``, which it may change; a dict that it returns is the new ``data``. Where it raises
    ``Refused`` nothing is sent, and the publication's state is ``refused``; other exceptions come
    out of ``publish()``. All hooks that match are called: for each channel of a broadcast those
    that name channels, once those that name none.
    """
    _refuse_options("send", options)
    return register("send", channel, event_class=event_class)


def _check_bare(kind: str, function: object, options: Mapping[str, object]) -> None:
    _refuse_options(kind, options)
    if not callable(function):
        raise TypeError(f"@on_{kind} stands without parentheses, right above its function.")


def _refuse_options(kind: str, options: Mapping[str, object]) -> None:
    if options:
        name = "before_send" if kind == "send" else f"on_{kind}"
        raise TypeError(
            f"@{name} takes no {min(options)}=: policies and pools are for @on_rpc and "
            "@on_publish, whose answers somebody waits for."
        )
