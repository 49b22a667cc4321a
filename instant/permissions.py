"""
The one rule: who may do what on which channel.

Views, proxies, tokens, admin and tests ask here and nowhere else. There are five actions:
``subscribe``, ``publish`` (from the browser), ``presence`` (see who is there), ``history``
(read what is kept) and ``status`` (see whether anybody answers). Rows of ``Channel``:

========= ==================================================================
level     may subscribe
========= ==================================================================
public    everybody, anonymous visitors included
users     everybody who is logged in
groups    members of one of the channel's groups, and its ``members``
staff     ``is_staff`` or ``is_superuser``
superuser ``is_superuser``
========= ==================================================================

Who may subscribe may read the history; ``publish_level``, ``presence_level`` and
``status_level`` say the rest, and django-guardian's object permissions add to them.
An inactive user counts as anonymous, an inactive channel as none. ``user:<pk>`` belongs to
that user alone, rows or not. For channels of a declared namespace its methods decide.
"""

from __future__ import annotations

import logging
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet

from instant.channels.names import check_name, user_channel
from instant.exceptions import InvalidChannelName
from instant.models import Channel
from instant.namespaces import METHODS, Action, Namespace, find_namespace
from instant.rights import namespace_rules, rows
from instant.rights.accounts import is_known

__all__ = [
    "Action",
    "Answers",
    "Grant",
    "amay",
    "answers",
    "ask",
    "channels_for",
    "grants",
    "grants_after",
    "is_known",
    "may",
    "may_have_state",
    "permitted",
]

logger = logging.getLogger("instant.permissions")


class Grant(NamedTuple):
    """A channel that a user may subscribe to."""

    name: str
    level: str
    """The level of its row; ``user`` for the user's own channel, ``namespace`` for a declared."""
    rights: tuple[Action, ...] = ()
    """What else the user may there."""
    by_token: bool = True
    """False where the server asks Django itself; a token would bypass that."""
    info: Any = None
    """What others see of the user in presence."""
    sees_joins: bool = False
    """Whether the user's token has to ask for joins and leaves, since not everybody gets them."""


class Answers(NamedTuple):
    """What is known of some channels and a user; names that are in neither are refused."""

    granted: list[Grant]
    unknown: list[str]
    """About these a rule can't decide now, since it can't reach the database."""


def may(user: Any, action: Action, channel: str) -> bool:
    """
    Tell whether the user (None or anonymous included) may do it on the channel.

    For code that isn't async. A rule that is ``async def`` raises AsyncRuleError, a
    TypeError: ask it with amay().
    """
    return _decide(user, action, channel, waits=False)


def ask(user: Any, action: Action, channel: str) -> bool:
    """Tell the same as may(), and wait for a rule that is ``async def``: for our endpoints."""
    return _decide(user, action, channel, waits=True)


async def amay(user: Any, action: Action, channel: str) -> bool:
    """Tell the same as may(), for async code and for rules of both kinds."""
    _check_action(action)
    found = find_namespace(channel) if _is_valid(channel) else None
    if found is None or (found[0].rows and await sync_to_async(_has_row)(found[0], channel)):
        return await sync_to_async(may)(user, action, channel)
    return (await namespace_rules.aallowed(found[0], action, user, [found[1]]))[0]


def channels_for(user: Any, action: Action = "subscribe") -> QuerySet[Channel]:
    """Return the active rows on which the user may do it, each once."""
    return rows.allowing(user, action)


def grants(user: Any, names: Iterable[str]) -> list[Grant]:
    """
    Return which of the names the user may subscribe to, in their order, each once.

    Names that don't exist, are inactive, malformed or forbidden are alike: not there. One
    query (and one more where rows list who may publish) for all rows.
    """
    return answers(user, names).granted


def answers(user: Any, names: Iterable[str]) -> Answers:
    """Return the same as grants(), and for which of the names nobody can say now."""
    wanted = list(dict.fromkeys(names))
    own = _own_channel(user)
    asked = [name for name in wanted if name != own and _is_valid(name)]
    granted: dict[str, Grant] = {}
    in_rows = {name for name in asked if rows.may_be(name)}
    if in_rows:
        granted = {grant.name: grant for grant in _row_grants(user, rows.named(user, in_rows))}
    rest = [name for name in asked if ":" in name and name not in granted]
    declared, unknown = _declared(user, rest)
    granted |= declared
    if own is not None and own in wanted:
        granted[own] = _own_grant(own)
    return Answers(
        [granted[name] for name in wanted if name in granted],
        [name for name in wanted if name in unknown],
    )


def grants_after(user: Any, after: str, limit: int) -> tuple[list[Grant], str | None]:
    """
    Return the user's channels by name, after the given one, at most ``limit`` (2 or more).

    The second value is the name to go on after, None at the end. Rows come in the order of
    the database, whose collation may be another than Python's; the user's own channel is
    always among the first.
    """
    own = None if after else _own_channel(user)
    room = limit if own is None else limit - 1
    found = list(rows.after(user, after, room + 1))
    page = _row_grants(user, [row for row in found[:room] if rows.may_be(row.name)])
    if own is not None:
        insort(page, _own_grant(own), key=lambda grant: grant.name)
    return page, found[room - 1].name if len(found) > room else None


def permitted(
    users: Sequence[Any], channel: str, *, step: Callable[[], None] = lambda: None
) -> set[Any]:
    """
    Return the primary keys of those users who may subscribe to the channel.

    The users are taken as they are; read them from the database where that may have changed.
    A rule that can't reach the database raises: to refuse would throw out who has the right.
    ``step`` is called before everything that may take a query, and may raise.
    """
    found = find_namespace(channel) if _is_valid(channel) else None
    own = {user.pk for user in users if _own_channel(user) == channel}
    if found is None or found[0].rows:
        step()
    if found is None or _has_row(found[0], channel):
        return own | rows.permitted(users, channel)
    cls, kwargs = found
    answers = namespace_rules.allowed_users(
        cls, users, kwargs, step=step, lets=(OperationalError, InterfaceError)
    )
    return {user.pk for user, answer in zip(users, answers, strict=True) if answer}


def may_have_state(
    cls: type[Namespace], user: Any, channels: Mapping[str, Mapping[str, Any]]
) -> set[str]:
    """
    Return for which of a namespace's channels, by name, the user may see the state.

    Whoever may subscribe may. A row that has taken a name says nothing of what the namespace
    tells, so there both must allow it. Raises where a rule can't reach the database.
    """
    names = [name for name in channels if _is_valid(name)]
    let = namespace_rules.UNDECIDED
    many = [dict(channels[name]) for name in names]
    found = namespace_rules.allowed(cls, "subscribe", user, many, lets=let)
    may = {name for name, answer in zip(names, found, strict=True) if answer}
    if cls.rows and may:
        taken = Channel.objects.filter(name__in=may).values_list("name", flat=True)
        may -= {*taken} - {row.name for row in rows.named(user, may)}
    return may


def _decide(user: Any, action: Action, channel: str, *, waits: bool) -> bool:
    _check_action(action)
    if not _is_valid(channel):
        return False
    if channel == _own_channel(user):
        return action != "publish"
    found = find_namespace(channel)
    if found is None or _has_row(found[0], channel):
        return _row_allows(user, action, channel)
    return namespace_rules.allowed(found[0], action, user, [found[1]], waits=waits)[0]


def _check_action(action: str) -> None:
    if action not in METHODS:
        raise ValueError(f"{action!r} is not an action; known are {', '.join(METHODS)}.")


def _row_allows(user: Any, action: Action, channel: str) -> bool:
    if not rows.may_be(channel):
        return False
    names = rows.allowing(user, action).filter(name=channel).values_list("name", flat=True)
    return channel in names  # some databases compare without regard to case


def _has_row(cls: type[Namespace], channel: str) -> bool:
    """Tell whether a row decides on the channel, though it is a namespace's by its pattern."""
    return cls.rows and channel in Channel.objects.filter(name=channel).values_list(
        "name", flat=True
    )


def _row_grants(user: Any, found: Sequence[rows.Row]) -> list[Grant]:
    more = rows.rights(user, found)
    return [Grant(row.name, row.level, more[row.name]) for row in found]


def _own_channel(user: Any) -> str | None:
    if not is_known(user):
        return None
    try:
        return user_channel(user)
    except ValueError:  # a primary key of which no channel name can be made
        return None


def _own_grant(name: str) -> Grant:
    return Grant(name, "user", ("history", "presence"))


def _declared(user: Any, names: Sequence[str]) -> tuple[Mapping[str, Grant], set[str]]:
    """
    Return what the user has in declared namespaces; each is asked once for all its names.

    And the names for which a rule can't say now.
    """
    asked: dict[type[Namespace], dict[str, dict[str, Any]]] = {}
    for name in names:
        found = find_namespace(name)
        if found is not None:
            asked.setdefault(found[0], {})[name] = found[1]
    granted: dict[str, Grant] = {}
    unknown: set[str] = set()
    for cls, channels in asked.items():
        if cls.rows:  # a name that has a row is the row's, also where that refuses
            for taken in Channel.objects.filter(name__in=channels).values_list("name", flat=True):
                channels.pop(taken, None)
        try:
            granted |= _namespace_grants(cls, user, channels)
        except namespace_rules.UNDECIDED:
            logger.exception("%s can't decide now: the page asks again.", cls.__qualname__)
            unknown.update(channels)
    return granted, unknown


def _namespace_grants(
    cls: type[Namespace], user: Any, channels: Mapping[str, dict[str, Any]]
) -> dict[str, Grant]:
    """Return the grants of those channels to which the user may subscribe; raises UNDECIDED."""
    let = namespace_rules.UNDECIDED
    found = namespace_rules.allowed(cls, "subscribe", user, list(channels.values()), lets=let)
    channels = {
        name: channels[name] for name, answer in zip(channels, found, strict=True) if answer
    }
    more: dict[str, list[Action]] = {name: [] for name in channels}
    for action in ("history", "presence", "publish"):
        who = cls.allows(action)
        if who == "nobody":
            continue
        answers = (
            [True] * len(channels)  # whoever may subscribe, which was asked
            if who == "subscribers"
            else namespace_rules.allowed(cls, action, user, list(channels.values()), lets=let)
        )
        for name, answer in zip(channels, answers, strict=True):
            if answer:
                more[name].append(action)
    return {
        name: Grant(
            name,
            "namespace",
            tuple(more[name]),
            by_token=cls.authorize != "proxy",
            info=namespace_rules.info(cls, user, kwargs),
            sees_joins=cls.join_leave and cls.decides("presence") and "presence" in more[name],
        )
        for name, kwargs in channels.items()
    }


def _is_valid(name: str) -> bool:
    try:
        check_name(name)
    except (InvalidChannelName, TypeError):
        return False
    return True
