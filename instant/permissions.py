"""
The one rule: who may subscribe to which channel.

Views, tokens, admin and tests ask here and nowhere else. Rows of ``Channel``:

========= ==================================================================
level     may subscribe
========= ==================================================================
public    everybody, anonymous visitors included
users     everybody who is logged in
groups    members of one of the channel's groups, and its ``members``
staff     ``is_staff`` or ``is_superuser``
superuser ``is_superuser``
========= ==================================================================

An inactive user counts as anonymous, an inactive channel as none. ``user:<pk>`` belongs to
that user alone, rows or not. For channels of a declared namespace its can_subscribe() decides.
"""

from __future__ import annotations

import inspect
import logging
from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from asgiref.sync import async_to_sync
from django.db.models import Q, QuerySet

from instant.exceptions import InvalidChannelName
from instant.models import Channel
from instant.names import check_name, check_row_name, user_channel
from instant.namespaces import Namespace, find_namespace

__all__ = ["Action", "Grant", "channels_for", "grants", "grants_after", "is_known", "may"]

logger = logging.getLogger("instant.permissions")

Action = Literal["subscribe"]


class Grant(NamedTuple):
    """A channel that a user may subscribe to."""

    name: str
    level: str
    """The level of its row; ``user`` for the user's own channel, ``namespace`` for a declared."""


def may(user: Any, action: Action, channel: str) -> bool:
    """Tell whether the user (None or anonymous included) may do it on the channel."""
    if action != "subscribe":
        raise ValueError(f"{action!r} is not an action; known is 'subscribe'.")
    return bool(grants(user, [channel]))


def channels_for(user: Any) -> QuerySet[Channel]:
    """Return the active rows that the user may subscribe to, each once."""
    rows = Channel.objects.filter(is_active=True)
    rule = Q(level__in=_levels(user))
    if is_known(user):
        # Subqueries instead of joins: no duplicates, and nothing is read for a user without.
        rule |= Q(level=Channel.Level.GROUPS) & Q(pk__in=_by_group(_group_ids(user)))
        rule |= Q(level=Channel.Level.GROUPS) & Q(pk__in=_by_member(user))
    return rows.filter(rule)


def grants(user: Any, names: Iterable[str]) -> list[Grant]:
    """
    Return which of the names the user may subscribe to, in their order, each once.

    Names that don't exist, are inactive, malformed or forbidden are alike: not there.
    """
    wanted = list(dict.fromkeys(names))
    own = _own_channel(user)
    asked = [name for name in wanted if name != own and _is_valid(name)]
    levels: dict[str, str] = _declared(user, [name for name in asked if ":" in name])
    asked = [name for name in asked if ":" not in name]
    if asked:
        found = channels_for(user).filter(name__in=asked).values_list("name", "level")
        exact = set(asked)  # some databases compare without regard to case
        levels |= {n: level for n, level in found.order_by() if n in exact and _is_row_name(n)}
    if own is not None and own in wanted:
        levels[own] = "user"
    return [Grant(name, levels[name]) for name in wanted if name in levels]


def grants_after(user: Any, after: str, limit: int) -> tuple[list[Grant], str | None]:
    """
    Return the user's channels by name, after the given one, at most ``limit`` (2 or more).

    The second value is the name to go on after, None at the end. Rows come in the order of
    the database, whose collation may be another than Python's; the user's own channel is
    always among the first.
    """
    own = None if after else _own_channel(user)
    room = limit if own is None else limit - 1
    found = [Grant(*row) for row in _rows_after(user, after, room + 1)]
    page = [grant for grant in found[:room] if _is_row_name(grant.name)]
    if own is not None:
        insort(page, Grant(own, "user"))
    return page, found[room - 1].name if len(found) > room else None


def _rows_after(user: Any, after: str, limit: int) -> Iterator[tuple[str, str]]:
    """
    Yield name and level of the first rows after a name.

    One UNION of narrow queries: each finds its rows by an index, where one condition with OR
    would walk the whole table for a user who has nothing in it.
    """
    rows = Channel.objects.filter(is_active=True).order_by()
    if after:
        rows = rows.filter(name__gt=after)
    parts = [rows.filter(level=level) for level in _levels(user)]
    if is_known(user):
        grouped = rows.filter(level=Channel.Level.GROUPS)
        groups = _group_ids(user)
        if groups:
            parts.append(grouped.filter(pk__in=_by_group(groups)))
        parts.append(grouped.filter(pk__in=_by_member(user)))
    first, *others = (part.values_list("name", "level") for part in parts)
    union = first.union(*others) if others else first
    yield from union.order_by("name")[:limit]


def is_known(user: Any) -> bool:
    """Tell whether it is somebody: logged in, and not deactivated since."""
    return user is not None and user.is_authenticated and user.is_active


def _levels(user: Any) -> list[str]:
    """Return the levels of which the user may have every channel."""
    levels: list[str] = [Channel.Level.PUBLIC]
    if is_known(user):
        levels.append(Channel.Level.USERS)
        superuser = getattr(user, "is_superuser", False)
        if superuser or getattr(user, "is_staff", False):
            levels.append(Channel.Level.STAFF)
        if superuser:
            levels.append(Channel.Level.SUPERUSER)
    return levels


def _group_ids(user: Any) -> Sequence[Any]:
    groups = getattr(user, "groups", None)  # a custom user model may have none
    return [] if groups is None else list(groups.order_by().values_list("pk", flat=True))


def _by_group(groups: Sequence[Any]) -> QuerySet[Any]:
    through = Channel.groups.through.objects
    return through.filter(group_id__in=groups).values("channel_id")


def _by_member(user: Any) -> QuerySet[Any]:
    through = Channel.members.through.objects
    column = Channel.members.field.m2m_reverse_field_name()  # named after the user model
    return through.filter(**{column: user.pk}).values("channel_id")


def _own_channel(user: Any) -> str | None:
    if not is_known(user):
        return None
    try:
        return user_channel(user)
    except ValueError:  # a primary key of which no channel name can be made
        return None


def _declared(user: Any, names: Sequence[str]) -> dict[str, str]:
    """
    Return which names of declared namespaces the user may subscribe to.

    A rule that raises refuses; the exception is logged. The rules of
    one namespace are asked together, so that one query can answer for all.
    """
    asked: dict[type[Namespace], list[tuple[str, dict[str, Any]]]] = {}
    for name in names:
        found = find_namespace(name)
        if found is not None:
            asked.setdefault(found[0], []).append((name, found[1]))
    granted: dict[str, str] = {}
    for cls, channels in asked.items():
        for (name, _), answer in zip(channels, _answers(cls, user, channels), strict=True):
            if answer:
                granted[name] = "namespace"
    return granted


def _answers(
    cls: type[Namespace], user: Any, channels: Sequence[tuple[str, dict[str, Any]]]
) -> list[bool]:
    if cls.authorize == "open":
        return [True] * len(channels)
    try:
        answers = _finish(cls().can_subscribe_many(user, [kwargs for _, kwargs in channels]))
        answers = [bool(_finish(answer)) for answer in answers]
    except Exception:
        logger.exception("%s.can_subscribe raised: refused.", cls.__qualname__)
        return [False] * len(channels)
    if len(answers) != len(channels):
        logger.error(
            "%s.can_subscribe_many answered %d times for %d channels: refused.",
            cls.__qualname__,
            len(answers),
            len(channels),
        )
        return [False] * len(channels)
    return answers


def _finish(answer: Any) -> Any:
    """Wait for the answer of an ``async def``."""
    if not inspect.isawaitable(answer):
        return answer

    async def wait() -> Any:
        return await answer

    return async_to_sync(wait)()


def _is_row_name(name: str) -> bool:
    """Tell whether a row may have the name: ``user:7`` in one must not open user 7's channel."""
    try:
        check_row_name(name)
    except InvalidChannelName:
        return False
    return True


def _is_valid(name: str) -> bool:
    try:
        check_name(name)
    except (InvalidChannelName, TypeError):
        return False
    return True
