"""A user who is deleted: their tickets go too, with what they have sent and got."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.models import signals

from instant.inbound.tickets import rows
from instant.inbound.tickets.channel import channel_of
from instant.inbound.tickets.running import is_used
from instant.personal import deletion
from instant.publishing.commit_hook import wait_for_commit
from instant.publishing.outbox import erasing as outbox
from instant.stored import request_messages
from instant.tenancy import current as tenancy

__all__ = ["connect", "erase"]

logger = logging.getLogger("instant.tickets")

_AT_ONCE = 500


def connect() -> None:
    """Listen, where a handler has a queue; called when the apps are ready, any number of times."""
    if not is_used():
        return
    deletion.listen(signals.post_delete, _gone, "instant.tickets_gone")


def _gone(instance: Any, using: str, **_kwargs: Any) -> None:
    """Have a user's tickets deleted after the commit: of many users those of all at once."""
    connection = connections[using]
    gone = (tenancy.current(), str(instance.pk))
    if connection.in_atomic_block:
        wait_for_commit(connection, [gone], _erase)
    elif connection.get_autocommit():
        _erase([gone])


def _erase(gone: Sequence[tuple[str, str]]) -> None:
    """Delete the tickets of these users; never raise. A job that runs finds that nobody waits."""
    for tenant, named in tenancy.by_tenant(gone, lambda one: one[0]):
        try:
            with tenancy.activate(tenant):
                subs = list(dict.fromkeys(sub for _, sub in named))
                for start in range(0, len(subs), _AT_ONCE):
                    erase(subs[start : start + _AT_ONCE])
        except (DatabaseError, LookupError) as exc:
            logger.error("Tickets of users who were deleted are still there: %s", exc)  # noqa: TRY400


def erase(subs: Sequence[str], *, is_asked: bool = False) -> int:
    """
    Delete the tickets of users of the current tenant, and return how many there were.

    With what they say that is stored or in the outbox; where neither is used rows may be left of a
    time when they were, which are looked for if ``is_asked``.
    """
    found = rows.own().filter(owner__in=subs).values_list("pk", "owner", "asked")
    # Compared again: some databases don't tell “a” from “A”.
    named = [(pk, asked) for pk, owner, asked in found if owner in subs]
    for start in range(0, len(named), _AT_ONCE):
        _erase_some(named[start : start + _AT_ONCE], is_asked)
    if named:
        outbox.erase([channel_of(pk) for pk, _ in named], is_asked=is_asked)
    return len(named)


def _erase_some(named: Sequence[tuple[str, int | None]], is_asked: bool) -> None:
    ids = [pk for pk, _ in named]
    with transaction.atomic(using=rows.database()):
        gone = rows.own().filter(pk__in=ids)
        gone._raw_delete(gone.db)  # noqa: SLF001  one statement, whoever listens to all models
        asked = [key for _, key in named if key is not None]
        request_messages.erase(ids, asked, is_asked=is_asked)
