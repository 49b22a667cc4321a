"""A user who is deleted: what waits for them alone goes too."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import groupby
from operator import or_
from typing import Any

from django.db import DatabaseError, connections
from django.db.models import Q, signals
from django.db.models.functions import Left

from instant.centrifugo.api.publish_requests import beginning
from instant.channels.names import (
    LISTENERS_CHANNEL,
    OUR_NAMESPACE,
    USER_NAMESPACE,
    namespace_of,
)
from instant.models import OutboxRow
from instant.personal import deletion
from instant.publishing import copied
from instant.publishing.commit_hook import wait_for_commit
from instant.publishing.outbox import is_used, tables
from instant.publishing.outbox.reach import Reach
from instant.publishing.outbox.relay import databases
from instant.tenancy import current as tenancy

__all__ = ["connect", "erase", "rows_to"]

logger = logging.getLogger("instant.outbox")

_AT_ONCE = 500
_STILL_THERE = "Rows of users who were deleted are still in the outbox: %s"

_reach = Reach()


def connect() -> None:
    """Listen; called when the apps are ready, any number of times."""
    deletion.listen(signals.post_delete, _gone, "instant.outbox_gone")


def _gone(instance: Any, using: str, **_kwargs: Any) -> None:
    """Have a user's rows deleted after the commit: of many users those of all at once."""
    connection = connections[using]
    if not is_used():
        return
    gone = (tenancy.current(), f"{USER_NAMESPACE}:{instance.pk}")
    if connection.in_atomic_block:
        wait_for_commit(connection, [gone], _erase)
    elif connection.get_autocommit():
        _erase([gone])


def _erase(gone: Sequence[tuple[str, str]]) -> None:
    """Delete the rows of publications to these channels, each of a tenant; never raise."""
    for tenant, named in tenancy.by_tenant(gone, lambda one: one[0]):
        try:
            with tenancy.activate(tenant):
                erase([name for _, name in named])
        except LookupError as exc:
            logger.error(_STILL_THERE, exc)  # noqa: TRY400  it says all


def erase(names: Sequence[str], *, is_asked: bool = False) -> None:
    """
    Delete the rows of what is published to these channels of the current tenant, each alone.

    With the copies for those who listen. What keeps it from that is logged. Where no outbox is used
    rows may be left of one that was: they are looked for if ``is_asked``.
    """
    if not is_asked and not is_used():
        return
    namespaces, heads = _about(names)
    for alias in databases():
        _try_in(alias, namespaces, heads)


def rows_to(names: Sequence[str]) -> Iterator[OutboxRow]:
    """Yield the rows that erase() deletes, of an outbox that is used or was."""
    namespaces, heads = _about(names)
    for alias in databases():
        if tables.are_in(alias):
            for keys in _found(alias, namespaces, heads):
                yield from tables.all_rows(alias).filter(pk__in=keys).order_by("pk")


def _about(names: Sequence[str]) -> tuple[set[str], set[str]]:
    """Return namespaces of rows about these channels, and how their payloads begin."""
    heads = {head for name in names for head in _heads(name)}
    return {OUR_NAMESPACE, *map(namespace_of, names)}, heads


def _heads(name: str) -> tuple[str, str]:
    """Return how payloads begin that go to a channel, and those of their copies."""
    copy = copied.head([name], tenancy.current())
    return beginning(tenancy.to_wire(name)), f'{beginning(LISTENERS_CHANNEL)}"data":{copy}'


def _try_in(alias: str, namespaces: set[str], heads: set[str]) -> None:
    """Delete such rows in a database, if it has the table; what keeps it from that is logged."""
    try:
        _reach.check(alias)
        try:
            _erase_in(alias, namespaces, heads)
        except DatabaseError:
            if tables.are_in(alias):
                raise
    except DatabaseError as exc:
        logger.error(_STILL_THERE, exc)  # noqa: TRY400  it says all


def _erase_in(alias: str, namespaces: set[str], heads: set[str]) -> None:
    """Delete rows that begin so, whether they wait, were set aside or are kept."""
    for keys in _found(alias, namespaces, heads):
        tables.delete(tables.all_rows(alias).filter(pk__in=keys))


def _found(alias: str, namespaces: set[str], heads: set[str]) -> Iterator[list[int]]:
    """Yield the keys of rows that begin so, some at a time."""
    rows = tables.all_rows(alias).filter(namespace__in=sorted(namespaces), method="publish")
    listed = sorted(heads, key=len)
    for start in range(0, len(listed), _AT_ONCE):
        alike = {
            length: list(same) for length, same in groupby(listed[start : start + _AT_ONCE], len)
        }
        found = rows.annotate(**{f"head{n}": Left("payload", n) for n in alike}).filter(
            reduce(or_, (Q(**{f"head{n}__in": same}) for n, same in alike.items()))
        )
        # Compared again: some databases don't tell “a” from “A”.
        columns = found.values_list("pk", *(f"head{n}" for n in alike))
        ids = [pk for pk, *begins in columns if not heads.isdisjoint(begins)]
        for first in range(0, len(ids), _AT_ONCE):
            yield ids[first : first + _AT_ONCE]
