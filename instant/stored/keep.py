"""
Publications to stored channels: a row each, in the transaction of the publish.

``rules.is_used()`` says whether there may be any, without the models.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q

from instant.channels.names import USER_NAMESPACE
from instant.models import Channel
from instant.namespaces import find_namespace
from instant.publishing.commit_hook import wait_for_commit
from instant.publishing.publication import Envelope, Publications
from instant.rights.rows import may_be
from instant.stored import note
from instant.stored.model import Message
from instant.stored.rows import database, insert, own
from instant.stored.rules import are_rows_asked, of_row
from instant.tenancy import current as tenancy

__all__ = ["Kept", "kept", "write", "write_after_commit"]

logger = logging.getLogger("instant.producers")

_AT_ONCE = 500
"""Names of rows that are asked for in one query."""


class Kept(NamedTuple):
    """A publication that becomes a message."""

    channel: str
    """As the project knows it."""
    row: Any
    """The primary key of the channel's row, or None."""
    envelope: Envelope
    id: str
    """The publication's."""


def kept(envelopes: Sequence[Envelope]) -> list[Kept]:
    """Return which publications become messages. One query for 500 names that may be rows'."""
    always = note.current().always
    asks_rows = are_rows_asked()
    found: list[Kept] = []
    open_: list[Kept] = []
    for envelope in envelopes:
        for channel, id_ in _publications(envelope):
            one = Kept(channel, None, envelope, id_)
            declared = find_namespace(channel)
            if declared is not None and not declared[0].rows:
                if always or declared[0].delivery.rule != "disabled":
                    found.append(one)
            elif channel.startswith(f"{USER_NAMESPACE}:"):
                if always:
                    found.append(one)
            elif asks_rows and may_be(channel):
                open_.append(one)
            elif declared is not None and declared[0].delivery.rule != "disabled":
                found.append(one)
    return found + _of_rows(open_, always=always) if open_ else found


def write(messages: Sequence[Kept]) -> None:
    """Write their rows; what is stored already, with the same key, stays as it is."""
    beside = note.current()
    tenant = tenancy.current()
    context = "" if beside.context is None else json.dumps(beside.context)
    made = [
        Message(
            uuid=UUID(hex=one.id),
            tenant=tenant,
            channel=one.channel,
            row_id=one.row,
            sender_id=getattr(beside.sender, "pk", None),
            context=context,
            content=one.envelope.body.decode(),
            is_reply=beside.is_reply,
            request_id=beside.request,
        )
        for one in messages
    ]
    insert(own(), made, "channel", "uuid")


def write_after_commit(connection: BaseDatabaseWrapper, messages: Sequence[Kept]) -> None:
    """
    Write their rows once a transaction of another database is committed, before they are sent.

    After a rollback there are none. Who dies in between has neither stored nor sent anything.
    """
    waiting = [(messages, note.current(), tenancy.current())]
    wait_for_commit(connection, waiting, _write_quietly, first=True)


def _write_quietly(waiting: list[tuple[Sequence[Kept], note.Note, str]]) -> None:
    for messages, beside, tenant in waiting:
        try:
            with tenancy.activate(tenant), note.noted(beside):
                write(messages)
        except Exception:
            names = ", ".join(sorted({one.channel for one in messages}))
            logger.exception("After the commit: messages of %s were not stored.", names)


def _publications(envelope: Envelope) -> Iterator[tuple[str, str]]:
    publications = envelope.publications
    if isinstance(publications, Publications):
        for channel in publications.channels:
            yield channel, publications.id
    else:
        for publication in publications:
            yield publication.channel, publication.id


def _of_rows(asked: Sequence[Kept], *, always: bool) -> list[Kept]:
    """Return those whose row says that they are stored, or whose namespace does without a row."""
    rows: dict[str, tuple[Any, str]] = {}
    names = list(dict.fromkeys(one.channel for one in asked))
    channels = Channel._base_manager.using(database())  # noqa: SLF001  Django's documented API
    for start in range(0, len(names), _AT_ONCE):
        chunk = Q(name__in=names[start : start + _AT_ONCE])
        for pk, name, own_rule in channels.filter(chunk).values_list("pk", "name", "store"):
            rows[name] = pk, own_rule
    found = []
    for one in asked:
        pk, own_rule = rows.get(one.channel, (None, ""))
        if pk is not None:
            if always or of_row(own_rule).stores:
                found.append(one._replace(row=pk))
            continue
        declared = find_namespace(one.channel)
        if declared is not None and (always or declared[0].delivery.rule != "disabled"):
            found.append(one)
    return found
