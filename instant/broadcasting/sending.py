"""Tell what became of objects: after the commit, or as a part of the transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import DatabaseError, connections, transaction
from django.db.models.fields.files import FieldFile

from instant.backends import get_backend, replaced
from instant.backends.locmem import LocmemBackend
from instant.broadcasting.change import Change, merged
from instant.broadcasting.units import collecting
from instant.exceptions import InstantConfigError
from instant.producers import broadcast, publish
from instant.publishing.commit_hook import wait_for_commit
from instant.publishing.publication import Publication
from instant.tenancy import current as tenancy

__all__ = ["committed", "expected", "hand_on", "take", "value_of"]

logger = logging.getLogger("instant.producers")


def take(connection: Any, changes: Sequence[Change]) -> None:
    """Let changes wait for the end of the block or of the transaction that they belong to."""
    collection = collecting(connection)
    if collection is not None:
        collection.extend(changes)
    else:
        hand_on(connection, changes)


def hand_on(connection: Any, changes: Sequence[Change]) -> None:
    """
    Send changes, after the commit where there is a transaction.

    A transactional backend, as the outbox is, takes them at once: they are a part of it then.
    """
    if not changes:
        return
    if not connection.in_atomic_block or _is_transactional():
        _send(connection.alias, changes)
    else:
        wait_for_commit(connection, changes, committed, last=True)


def value_of(field: Any, instance: Any) -> Any:
    """Return what a message has of a field: of a relation the key, of a file the name."""
    value = field.value_from_object(instance)
    return value.name if isinstance(value, FieldFile) else value


def _is_transactional() -> bool:
    try:
        return get_backend().transactional
    except InstantConfigError:  # told when it is to send
        return False


def committed(changes: Sequence[Change]) -> None:
    """Send what was committed, each object once, or leave it to the end of the block around."""
    by_database: dict[str, list[Change]] = {}
    for change in changes:
        by_database.setdefault(change.key[2], []).append(change)
    for alias, found in by_database.items():
        collection = collecting(connections[alias])
        if collection is not None:
            collection.extend(found)
        else:
            _send(alias, merged(found))


def expected(changes: Sequence[Change]) -> Sequence[Publication]:
    """Return what committed() would publish, and send nothing: for tests, which don't commit."""
    backend = LocmemBackend()
    with replaced(backend):
        for change in merged(changes):
            _send(change.key[2], [change], on_commit=False)
    for publication in backend.outbox:
        publication.state = "deferred"
    return backend.outbox


class _Message(NamedTuple):
    """What is published."""

    channels: Sequence[str]
    event_class: str
    data: Any
    tenant: str


def _send(alias: str, changes: Sequence[Change], *, on_commit: bool = True) -> None:
    """
    Publish together.

    In a transaction, at whose end a failure is logged and signalled and not raised: a save that
    was made doesn't fail because nobody could be told.
    """
    connection = connections[alias]
    messages = [message for change in changes for message in _messages(connection, change)]
    if not messages:
        return
    try:
        with transaction.atomic(using=alias, savepoint=False):
            for message in messages:
                _publish(alias, message, on_commit=on_commit)
    except DatabaseError:
        if connection.in_atomic_block:  # they are a part of it, and it has failed
            raise
        logger.exception("Nobody was told what became of %d objects.", len(changes))


def _messages(connection: Any, change: Change) -> Sequence[_Message]:
    declaration, pk, tenant = change.declaration, change.key[1], change.tenant
    found, data = [], change.data
    try:
        if change.event == "deleted":
            found.append(_Message(change.before, f"{declaration.name}.deleted", {"pk": pk}, tenant))
        else:
            if declaration.payload is not None and change.event in declaration.events:
                with tenancy.activate(tenant):
                    data = declaration.payload(data)
            name = f"{declaration.name}.{change.event}"
            found.append(_Message(change.channels, name, data, tenant))
    except Exception as exc:
        if isinstance(exc, DatabaseError) and connection.in_atomic_block:
            raise
        logger.exception("Nobody was told of %s %r.", declaration.model._meta.label, pk)  # noqa: SLF001
    if change.event not in declaration.events:
        found.clear()
    if change.event != "deleted":
        found.append(_Message(change.left, f"{declaration.name}.gone", {"pk": pk}, tenant))
    return [message for message in found if message.channels]


def _publish(alias: str, message: _Message, *, on_commit: bool) -> None:
    channels, event_class, data, tenant = message
    how: dict[str, Any] = {"event_class": event_class, "using": alias, "on_commit": on_commit}
    try:
        with tenancy.activate(tenant):
            if len(channels) == 1:
                publish(channels[0], data=data, **how)
            else:
                broadcast(channels, data=data, **how)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("%s could not be published to %s.", event_class, ", ".join(channels))
