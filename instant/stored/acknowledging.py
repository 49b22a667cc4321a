"""Acknowledgements, and the messages that a channel's rule then lets go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.db.models import Exists, OuterRef, QuerySet

from instant.namespaces import find_namespace
from instant.permissions import grants, is_known
from instant.rights import rows as row_rights
from instant.stored.model import Acknowledgement, Message
from instant.stored.pinging import pongs
from instant.stored.rows import Messages, database, own
from instant.stored.rules import RESPONSES, Effective, of_namespace, of_row

__all__ = ["acknowledge", "let_go", "rule_of"]

_AT_ONCE = 500
"""Messages that one transaction looks at."""


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
    become one.
    """
    by_channel: dict[tuple[Any, str], list[Message]] = {}
    for message in messages:
        by_channel.setdefault((message.row_id, message.channel), []).append(message)
    for of_one in by_channel.values():
        first = of_one[0]
        rule = rule_of(first).rule
        if rule == "store":
            continue
        ids = [message.pk for message in of_one]
        answered = Acknowledgement._base_manager.filter(message=OuterRef("pk"))  # noqa: SLF001
        over = own().filter(Exists(answered), pk__in=ids)
        if rule == "cacheall":
            over = _acknowledged_by_all(over, first)
        Message._base_manager.using(database()).filter(  # noqa: SLF001
            pk__in=list(over.values_list("pk", flat=True))
        ).delete()


def _acknowledge(user: Any, wanted: Sequence[UUID]) -> list[UUID]:
    alias = database()
    with transaction.atomic(using=alias):
        messages = own().filter(uuid__in=wanted).select_related("row")
        if connections[alias].features.has_select_for_update:
            # Who comes second sees what the first has written, and one of both deletes it.
            of = ("self",) if connections[alias].features.has_select_for_update_of else ()
            messages = messages.select_for_update(of=of)
        found = list(messages)
        may = {grant.name for grant in grants(user, {one.name for one in found})}
        mine = [one for one in found if one.name in may]
        if not mine:
            return []
        Acknowledgement._base_manager.using(alias).bulk_create(  # noqa: SLF001
            [Acknowledgement(message=one, user_id=user.pk) for one in mine], ignore_conflicts=True
        )
        let_go(mine)
        _answered(mine)
    return [one.uuid for one in mine]


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
        if declared is None:
            return messages
        readers = declared[0]().readers(**declared[1])
    done = Acknowledgement._base_manager.filter(user=OuterRef("pk"))  # noqa: SLF001
    if isinstance(readers, QuerySet):
        waiting = readers.order_by().filter(~Exists(done.filter(message=OuterRef(OuterRef("pk")))))
        return messages.filter(~Exists(waiting))
    keys = {getattr(reader, "pk", reader) for reader in readers or ()}
    by_message: dict[Any, set[Any]] = {}
    acknowledged = Acknowledgement._base_manager.using(database()).filter(  # noqa: SLF001
        message__in=messages, user__in=keys
    )
    for message, user in acknowledged.values_list("message", "user"):
        by_message.setdefault(message, set()).add(user)
    return messages.filter(pk__in=[pk for pk, users in by_message.items() if users >= keys])


def _uuid(given: UUID | str) -> UUID:
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{given!r} is not the id of a message.") from None
