"""What a user has still to acknowledge, in order and by page."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q

from instant import namespaces
from instant.channels.names import check_name, user_channel
from instant.namespaces import find_namespace
from instant.permissions import channels_for, grants, is_known
from instant.stored.model import Acknowledgement, Message
from instant.stored.rows import Messages, own

__all__ = ["LIMIT", "outstanding", "readable", "waiting_for"]

LIMIT = 100
"""Messages of one page, unless more or fewer are asked for."""

MOST = 1000
"""Messages of one page, and channels of namespaces that one question looks at."""


def outstanding(
    user: Any, channel: str | None = None, *, after: int = 0, limit: int = LIMIT
) -> list[Message]:
    """See ``instant.messages.outstanding()``."""
    if not is_known(user):
        raise PermissionDenied("Only users have outstanding messages.")
    if not 0 < limit <= MOST:
        raise ValueError(f"limit must be from 1 to {MOST:,}, not {limit!r}.")
    found = waiting_for(user).filter(pk__gt=after)
    if channel is None:
        found = found.filter(_in_readable(user, found))
    else:
        check_name(channel)
        if not grants(user, [channel]):
            raise PermissionDenied(f"The user may not read {channel!r}.")
        found = found.filter(channel=channel)
    return list(found.select_related("row")[:limit])


def waiting_for(user: Any) -> Messages:
    """Return the messages that a user hasn't acknowledged, of all channels, whoever may read."""
    mine = Acknowledgement._base_manager.filter(message=OuterRef("pk"), user=user.pk)  # noqa: SLF001
    return own().filter(~Exists(mine))


def readable(user: Any, messages: Messages) -> Messages:
    """Return those of the messages that the user may read now."""
    return messages.filter(_in_readable(user, messages))


def _in_readable(user: Any, messages: Messages) -> Q:
    """
    Return the condition for channels that the user may read now.

    Rows answer in the same query. Of channels of namespaces the names are asked for first, at
    most MOST of them, those with the oldest messages: a namespace's rule is Python.
    """
    rows = Q(row__in=channels_for(user).order_by().values("pk"))
    names = _declared(user, messages)
    with suppress(ValueError):  # a primary key of which no name can be made
        names.append(user_channel(user))
    return rows | Q(row=None, channel__in=names)


def _declared(user: Any, messages: Messages) -> list[str]:
    if not namespaces.registered():
        return []
    listed = messages.filter(row=None).order_by().values_list("channel", flat=True).distinct()
    names = [name for name in listed[:MOST] if find_namespace(name) is not None]
    return [grant.name for grant in grants(user, names)] if names else []
