"""Acknowledgements, and the messages that a channel's rule then lets go."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Exists, OuterRef, QuerySet

from instant.namespaces import find_namespace
from instant.permissions import is_known
from instant.rights import rows as row_rights
from instant.rights.primary import reading_from_primary
from instant.stored import outstanding
from instant.stored.model import Acknowledgement, Message
from instant.stored.pinging import pongs
from instant.stored.rows import Messages, database, locked, own, writing
from instant.stored.rules import RESPONSES, Effective, are_rows_asked, of_namespace, of_row

__all__ = ["acknowledge", "let_go", "rule_of", "what_is_over"]

logger = logging.getLogger("instant.permissions")

_AT_ONCE = 500
"""Messages that one transaction looks at."""

_READERS = 1000
"""Of whose acknowledgements one query asks, where a namespace says who they are."""


def acknowledge(user: Any, uuids: Iterable[UUID | str]) -> list[UUID]:
    """See ``instant.messages.acknowledge()``."""
    if not is_known(user):
        raise PermissionDenied("Only users acknowledge messages.")
    wanted = list(dict.fromkeys(_uuid(one) for one in uuids))
    done: list[UUID] = []
    for start in range(0, len(wanted), _AT_ONCE):
        done += _acknowledge(user, wanted[start : start + _AT_ONCE])
    return done


def rule_of(message: Message) -> Effective:
    """Return the rule that is in force for a message now."""
    if message.is_reply:
        return of_row("" if message.row is None else message.row.store, role=RESPONSES)
    if message.row is not None:
        return of_row(message.row.store)
    declared = find_namespace(message.channel)
    if declared is not None:
        return of_namespace(declared[0])
    return Effective("store", "a user's own channel")


def let_go(messages: Sequence[Message]) -> None:
    """
    Delete those of the messages, which are locked, whose rule says so.

    A message that nobody has acknowledged stays, also where it has no reader: somebody may
    become one. So do all of a channel that is stored no longer, unless every reader has
    acknowledged them, of one that is switched off, and where nobody can say who its readers are.
    """
    if over := what_is_over(messages):
        Message._base_manager.using(database()).filter(pk__in=over).delete()  # noqa: SLF001


def what_is_over(messages: Sequence[Message]) -> list[int]:
    """
    Return which of the messages their rule lets go, by primary key.

    What is over stays so: nobody takes an acknowledgement back. So it may be asked without a lock.
    """
    by_channel: dict[tuple[Any, str], list[Message]] = {}
    for message in messages:
        by_channel.setdefault((message.row_id, message.channel), []).append(message)
    with reading_from_primary():
        return [pk for of_one in by_channel.values() for pk in _over(of_one)]


def _over(messages: Sequence[Message]) -> list[int]:
    """Return which of one channel's messages may be deleted, by primary key."""
    first = messages[0]
    rule = rule_of(first).rule
    is_of_rows = first.row is not None or first.is_reply
    if rule == "store" or (is_of_rows and not are_rows_asked()):
        return []
    answered = Acknowledgement._base_manager.filter(message=OuterRef("pk"))  # noqa: SLF001
    over = own().filter(Exists(answered), pk__in=[message.pk for message in messages])
    if first.row is not None and not first.row.is_active and rule != "cache":
        return []  # its readers are nobody, for now
    try:
        over = over if rule == "cache" else _acknowledged_by_all(over, first)
        return list(over.values_list("pk", flat=True))
    except (DatabaseError, InterfaceError):
        raise
    except Exception:
        logger.exception("Who reads %s is not known: its messages stay.", first.channel)
        return []


def _acknowledge(user: Any, wanted: Sequence[UUID]) -> list[UUID]:
    with writing():
        # A broadcast has one id on all of its channels: only what is the user's is locked.
        may = outstanding.readable(user, own().filter(uuid__in=wanted))
        mine = locked(own(), list(may.values_list("pk", flat=True)))
        if not mine:
            return []
        Acknowledgement._base_manager.using(database()).bulk_create(  # noqa: SLF001
            [Acknowledgement(message=one, user_id=user.pk) for one in mine], ignore_conflicts=True
        )
        let_go(mine)
    _answered(mine)  # behind it: readers would wait for each other at their channel's row
    return list(dict.fromkeys(one.uuid for one in mine))


def _answered(messages: Sequence[Message]) -> None:
    """Note that somebody is there, for channels that ask: who acknowledges is."""
    if asking := {one.row_id for one in messages if one.row is not None and one.row.answers_pings}:
        pongs(asking)


def _acknowledged_by_all(messages: Messages, like: Message) -> Messages:
    """Return those that every reader of their channel, all have the same, has acknowledged."""
    if like.row is not None:
        readers: Any = row_rights.readers(like.row)
    else:
        declared = find_namespace(like.channel)
        readers = () if declared is None else declared[0]().readers(**declared[1])
    done = Acknowledgement._base_manager.filter(user=OuterRef("pk"))  # noqa: SLF001
    if isinstance(readers, QuerySet):
        waiting = readers.order_by().filter(~Exists(done.filter(message=OuterRef(OuterRef("pk")))))
        return messages.filter(~Exists(waiting))
    if readers is None:  # it says nothing of them
        return messages.none()
    field = get_user_model()._meta.pk  # noqa: SLF001  Django's documented API
    keys = list({field.to_python(getattr(reader, "pk", reader)) for reader in readers})
    left = list(messages.values_list("pk", flat=True))
    for start in range(0, len(keys), _READERS):
        some = keys[start : start + _READERS]
        acknowledged = (
            Acknowledgement._base_manager.using(database())  # noqa: SLF001
            .filter(message__in=left, user__in=some)
            .order_by()
            .values_list("message")
            .annotate(Count("user", distinct=True))
        )
        counts = dict(acknowledged)
        left = [pk for pk in left if counts.get(pk) == len(some)]
        if not left:
            break
    return messages.filter(pk__in=left)


def _uuid(given: UUID | str) -> UUID:
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{given!r} is not the id of a message.") from None
