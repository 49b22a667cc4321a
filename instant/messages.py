"""Messages that wait for people: what a user has still to acknowledge, and that they did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from instant.models import Message

__all__ = ["aacknowledge", "acknowledge", "aoutstanding", "outstanding"]


def outstanding(
    user: Any, channel: str | None = None, *, after: int = 0, limit: int = 100
) -> list[Message]:
    """
    Return the messages that the user hasn't acknowledged, oldest first.

    Of one channel, or of all stored channels that the user may subscribe to now; a message of
    a channel that they may no longer read is not among them. At most ``limit`` (1,000 at the
    most), those with a higher ``pk`` than ``after``: go on with that of the last one.

    Raises PermissionDenied for a channel that the user may not read, and for somebody who
    isn't logged in. Without a channel it looks at 1,000 channels of namespaces at the most.
    """
    from instant.stored import outstanding as stored  # noqa: PLC0415  it needs the models

    return stored.outstanding(user, channel, after=after, limit=limit)


async def aoutstanding(
    user: Any, channel: str | None = None, *, after: int = 0, limit: int = 100
) -> list[Message]:
    """See outstanding()."""
    return await sync_to_async(outstanding)(user, channel, after=after, limit=limit)


def acknowledge(user: Any, uuids: Iterable[UUID | str]) -> list[UUID]:
    """
    Note that the user has dealt with these messages; those that the rule lets go are deleted.

    ``uuids`` are the publications' ids. Returns which of them are acknowledged now, also
    where they were before. Those that aren't there (any more), or that the user may not read,
    are left out, with nothing that would tell which of both. Raises ValueError for what is no
    id, and PermissionDenied for somebody who isn't logged in.
    """
    from instant.stored import acknowledging  # noqa: PLC0415  it needs the models

    return acknowledging.acknowledge(user, uuids)


async def aacknowledge(user: Any, uuids: Iterable[UUID | str]) -> list[UUID]:
    """See acknowledge()."""
    return await sync_to_async(acknowledge)(user, uuids)
