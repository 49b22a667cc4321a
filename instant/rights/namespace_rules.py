"""
Asking the rules of declared namespaces, fail closed.

A rule that raises refuses, and the exception is logged. The rules of one namespace are asked
together, so that one query can answer for all.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, InternalError, OperationalError
from django.db.transaction import TransactionManagementError

from instant.namespaces import METHODS, Action, Namespace

__all__ = [
    "UNDECIDED",
    "AsyncRuleError",
    "aallowed",
    "allowed",
    "allowed_users",
    "info",
    "rule_name",
    "snapshots",
]

logger = logging.getLogger("instant.permissions")

# The last two: in a transaction, whatever is asked after the first of these errors.
UNDECIDED = (OperationalError, InterfaceError, InternalError, TransactionManagementError)
"""What a rule raises that can't reach the database: it has said neither yes nor no."""

_Channels = Sequence[dict[str, Any]]
"""The arguments of each channel."""


class AsyncRuleError(TypeError):
    """A rule is ``async def`` and was asked by may(); amay() asks it."""


def allowed(
    cls: type[Namespace],
    action: Action,
    user: Any,
    channels: _Channels,
    *,
    waits: bool = True,
    lets: tuple[type[Exception], ...] = (),
) -> list[bool]:
    """
    Tell for each channel of a namespace whether the user may.

    An async rule is waited for, or raises AsyncRuleError where ``waits`` is False. Exceptions
    of a rule that ``lets`` names are let through, all others refuse.
    """
    asks, other = _without_asking(cls, action, len(channels))
    if not asks:
        return other
    if cls.allows(action) == "subscribers":
        return allowed(cls, "subscribe", user, channels, waits=waits, lets=lets)
    let_through: tuple[type[Exception], ...] = (AsyncRuleError, *lets)
    try:
        found = _ask(cls, action, user, channels)
        if not waits:
            _refuse_awaitables(cls, action, found)
        return _checked(cls, action, channels, [_wait(answer) for answer in _wait(found)])
    except let_through:
        raise
    except Exception:
        logger.exception("%s.%s raised: refused.", cls.__qualname__, METHODS[action])
        return [False] * len(channels)


def allowed_users(
    cls: type[Namespace],
    users: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    step: Callable[[], None],
    lets: tuple[type[Exception], ...] = (),
) -> list[bool]:
    """
    Tell for each of many users whether they may subscribe to one channel.

    ``step`` is called before each question, and what it raises is raised; so is what ``lets``
    names of a rule's exceptions. All others refuse.
    """
    if not users:
        return []
    asks, other = _without_asking(cls, "subscribe", len(users))
    if not asks:
        return other
    if cls.can_subscribe_users is Namespace.can_subscribe_users:
        answers = []
        for user in users:
            step()
            answers += allowed(cls, "subscribe", user, [kwargs], lets=lets)
        return answers
    step()
    try:
        found = _wait(cls().can_subscribe_users(users, **kwargs))
        answers = [bool(_wait(answer)) for answer in found]
    except lets:
        raise
    except Exception:
        logger.exception("%s.can_subscribe_users raised: refused.", cls.__qualname__)
        return [False] * len(users)
    if len(answers) != len(users):
        logger.error(
            "%s.can_subscribe_users answered %d times for %d users: refused.",
            cls.__qualname__,
            len(answers),
            len(users),
        )
        return [False] * len(users)
    return answers


async def aallowed(
    cls: type[Namespace], action: Action, user: Any, channels: _Channels
) -> list[bool]:
    """See allowed(); a sync rule runs in a thread."""
    asks, other = _without_asking(cls, action, len(channels))
    if not asks:
        return other
    if cls.allows(action) == "subscribers":
        return await aallowed(cls, "subscribe", user, channels)
    try:
        found = await sync_to_async(_ask)(cls, action, user, channels)
        if inspect.isawaitable(found):
            found = await found
        answers = [await a if inspect.isawaitable(a) else a for a in found]
        return _checked(cls, action, channels, answers)
    except Exception:
        logger.exception("%s.%s raised: refused.", cls.__qualname__, METHODS[action])
        return [False] * len(channels)


def info(cls: type[Namespace], user: Any, kwargs: dict[str, Any]) -> Any:
    """
    Return what the namespace tells others of the user, as plain JSON values.

    None where it says or has nothing, or what DjangoJSONEncoder can't encode.
    """
    if cls.connection_info is Namespace.connection_info:
        return None
    try:
        found = _wait(cls().connection_info(user, **kwargs))
    except Exception:
        logger.exception("%s.connection_info raised: there is no info.", cls.__qualname__)
        return None
    try:
        # Here, not where a token is signed: there a failure would have the key in its frames.
        return json.loads(json.dumps(found, cls=DjangoJSONEncoder, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        logger.exception(
            "%s.connection_info returned what is no JSON: there is no info.", cls.__qualname__
        )
        return None


def snapshots(cls: type[Namespace], user: Any, channels: _Channels) -> list[Any]:
    """
    Return the state that a page begins with for each channel of a namespace.

    What the namespace raises is raised; so is a ValueError where it answers too often or not often
    enough.
    """
    if not channels:
        return []
    found = [_wait(state) for state in _wait(cls().snapshot_many(user, channels))]
    if len(found) != len(channels):
        raise ValueError(
            f"{cls.__qualname__}.snapshot_many() returned {len(found)} states for "
            f"{len(channels)} channels."
        )
    return found


def rule_name(cls: type[Namespace], action: Action) -> str:
    """Return which method of the class decides, or who may without one."""
    if cls.allows(action) == "everybody":
        return "everybody, unasked"
    method = METHODS[action]
    for name in (f"{method}_many", method):
        if getattr(cls, name) is not getattr(Namespace, name):
            return f"{cls.__qualname__}.{name}()"
    return "rows" if cls.rows else f"nobody: no {method}()"


def _without_asking(cls: type[Namespace], action: Action, count: int) -> tuple[bool, list[bool]]:
    """Return whether anything has to be asked, and the answers where not."""
    who = cls.allows(action)
    return who in {"ask", "subscribers"}, [who == "everybody"] * count


def _ask(cls: type[Namespace], action: Action, user: Any, channels: _Channels) -> Any:
    found = getattr(cls(), f"{METHODS[action]}_many")(user, channels)
    return found if inspect.isawaitable(found) else list(found)


def _checked(
    cls: type[Namespace], action: Action, channels: _Channels, answers: Sequence[Any]
) -> list[bool]:
    if len(answers) != len(channels):
        logger.error(
            "%s.%s_many answered %d times for %d channels: refused.",
            cls.__qualname__,
            METHODS[action],
            len(answers),
            len(channels),
        )
        return [False] * len(channels)
    return [bool(answer) for answer in answers]


def _refuse_awaitables(cls: type[Namespace], action: Action, found: Any) -> None:
    waiting = (
        [found] if inspect.isawaitable(found) else [a for a in found if inspect.isawaitable(a)]
    )
    for one in waiting:
        if inspect.iscoroutine(one):
            one.close()  # else Python warns that nobody awaited it
    if waiting:
        raise AsyncRuleError(
            f"{cls.__qualname__}.{METHODS[action]}() is async: ask with “await amay(…)”."
        )


def _wait(answer: Any) -> Any:
    """Wait for the answer of an ``async def``."""
    if not inspect.isawaitable(answer):
        return answer
    awaitable: Awaitable[Any] = answer

    async def wait() -> Any:
        return await awaitable

    return async_to_sync(wait)()
