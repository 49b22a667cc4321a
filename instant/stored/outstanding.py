"""What a user has still to acknowledge, in order and by page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import CharField, Exists, Min, OuterRef, Q, Value
from django.db.models.functions import Concat

from instant import namespaces
from instant.channels.names import USER_NAMESPACE, check_name, user_channel
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets import rows as tickets
from instant.inbound.tickets.channel import channel_of
from instant.models import Channel
from instant.namespaces import find_namespace
from instant.permissions import channels_for, grants, is_known
from instant.rights import tokens
from instant.rights.primary import reading_from_primary
from instant.stored.model import Acknowledgement, Message
from instant.stored.rows import Messages, database, own

__all__ = ["LIMIT", "MOST", "outstanding", "page", "readable", "waiting_for"]

LIMIT = 100
"""Messages of one page, unless more or fewer are asked for."""

MOST = 1000
"""Messages of one page, and channels of namespaces that are asked about at a time."""


def outstanding(
    user: Any, channel: str | None = None, *, after: int = 0, limit: int = LIMIT
) -> list[Message]:
    """See ``instant.messages.outstanding()``."""
    found, go_on = page(user, channel, after=after, limit=limit)
    while go_on is not None and len(found) < limit:
        more, go_on = page(user, channel, after=go_on, limit=limit - len(found))
        found += more
    return found


def page(
    user: Any, channel: str | None, *, after: int, limit: int
) -> tuple[list[Message], int | None]:
    """
    Return messages, and what is ``after`` for those that follow; None where none does.

    Without a channel it asks about MOST channels of namespaces, those with the oldest messages,
    and what it returns may be fewer than ``limit``, or nothing, though others follow.
    """
    if not is_known(user):
        raise PermissionDenied("Only users have outstanding messages.")
    if not 0 < limit <= MOST:
        raise ValueError(f"limit must be from 1 to {MOST:,}, not {limit!r}.")
    with reading_from_primary():
        waiting = waiting_for(user).filter(pk__gt=after)
        if channel is None:
            names, until = _first_names(user, waiting)
            waiting = waiting.filter(_in(user, names))
            if until is not None:
                waiting = waiting.filter(pk__lt=until)
        else:
            until = None
            check_name(channel)
            if not grants(user, [channel]):
                raise PermissionDenied(f"The user may not read {channel!r}.")
            waiting = waiting.filter(_of_channel(channel))
        found = list(waiting.select_related("row")[: limit + 1])
    if len(found) > limit:
        return found[:limit], found[limit - 1].pk
    return found, None if until is None else until - 1


def waiting_for(user: Any) -> Messages:
    """Return the messages that a user hasn't acknowledged, of all channels, whoever may read."""
    mine = Acknowledgement._base_manager.filter(message=OuterRef("pk"), user=user.pk)  # noqa: SLF001
    return own().filter(~Exists(mine))


def readable(user: Any, messages: Messages) -> Messages:
    """Return those of the messages that the user may read now."""
    with reading_from_primary():
        names: list[str] = []
        asked = list(_listed(user, messages).values_list("channel", flat=True))
        for start in range(0, len(asked), MOST):
            names += _granted(user, asked[start : start + MOST])
    return messages.filter(_in(user, names))


def _of_channel(channel: str) -> Q:
    """
    Return the condition for messages of a channel as it is now.

    Those of its row, also with the name that it had before; and never those of another row that
    had its name then.
    """
    named = Channel._base_manager.using(database()).filter(name=channel)  # noqa: SLF001
    row = next((pk for pk, name in named.values_list("pk", "name") if name == channel), None)
    if row is None:
        return Q(row=None, channel=channel)
    if find_namespace(channel) is None:
        return Q(row=row)
    return Q(row=row) | Q(row=None, channel=channel)


def _in(user: Any, names: Sequence[str]) -> Q:
    """Return the condition for channels that the user may read: rows, and these names."""
    rows = Q(row__in=channels_for(user).order_by().values("pk"))
    own_name: list[str] = []
    with suppress(ValueError):  # a primary key of which no name can be made
        own_name.append(user_channel(user))
    return rows | Q(row=None, channel__in=[*names, *own_name])


def _first_names(user: Any, messages: Messages) -> tuple[list[str], int | None]:
    """
    Return the channels of namespaces that the user may read, and up to which message.

    A namespace's rule is Python, so MOST of them are asked about; None where those are all.
    """
    if not namespaces.registered():
        return [], None
    listed = list(_listed(user, messages)[: MOST + 1])
    until = listed[MOST]["first"] if len(listed) > MOST else None
    return _granted(user, [one["channel"] for one in listed[:MOST]]), until


def _listed(user: Any, messages: Messages) -> Any:
    """
    Return channels without a row that somebody could be let into, those of the oldest first.

    Others' own channels, requests, and answers to others are left out: they may be many.
    """
    sub = tokens.subject(user)
    mine = tickets.own().filter(owner=sub).order_by()
    name = Concat(Value(channel_of("")), "pk", output_field=CharField())
    answers = mine.annotate(channel=name).values("channel")
    found = messages.filter(Q(is_reply=False) | Q(channel__in=answers), row=None)
    for beginning in (f"{USER_NAMESPACE}:", REQUESTS):
        found = found.exclude(channel__startswith=beginning)
    return found.order_by().values("channel").annotate(first=Min("pk")).order_by("first")


def _granted(user: Any, names: Sequence[str]) -> list[str]:
    declared = [name for name in names if find_namespace(name) is not None]
    return [grant.name for grant in grants(user, declared)] if declared else []
