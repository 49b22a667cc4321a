"""A user who is deleted: what waits for them alone goes too."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections
from django.db.models import signals
from django.db.models.functions import Left

from instant.centrifugo.api.publish_requests import beginning
from instant.channels.names import USER_NAMESPACE
from instant.publishing.commit_hook import wait_for_commit
from instant.publishing.outbox import is_used, tables
from instant.publishing.outbox.reach import Reach
from instant.publishing.outbox.relay import databases
from instant.tenancy import current as tenancy

__all__ = ["connect"]

logger = logging.getLogger("instant.outbox")

_AT_ONCE = 500
_STILL_THERE = "Rows of users who were deleted are still in the outbox: %s"

_reach = Reach()


def connect() -> None:
    """Listen; called when the apps are ready, any number of times."""
    user = get_user_model()
    for model in apps.get_models():
        if issubclass(model, user):  # its proxies and children send signals of their own
            signals.post_delete.connect(_gone, sender=model, dispatch_uid="instant.outbox_gone")


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
    """Delete the rows of publications to these channels; never raise."""
    for tenant, named in tenancy.by_tenant(gone, lambda one: one[0]):
        try:
            with tenancy.activate(tenant):
                heads = {beginning(tenancy.to_wire(name)) for _, name in named}
                for alias in databases():
                    _try_in(alias, heads)
        except LookupError as exc:
            logger.error(_STILL_THERE, exc)  # noqa: TRY400  it says all


def _try_in(alias: str, heads: set[str]) -> None:
    """Delete such rows in a database, if it has the table; what keeps it from that is logged."""
    try:
        _reach.check(alias)
        try:
            _erase_in(alias, heads)
        except DatabaseError:
            if tables.are_in(alias):
                raise
    except DatabaseError as exc:
        logger.error(_STILL_THERE, exc)  # noqa: TRY400  it says all


def _erase_in(alias: str, heads: set[str]) -> None:
    """Delete rows that begin so, whether they wait, were set aside or are kept."""
    rows = tables.all_rows(alias).filter(namespace=USER_NAMESPACE, method="publish")
    for length in {len(head) for head in heads}:
        alike = sorted(head for head in heads if len(head) == length)
        for start in range(0, len(alike), _AT_ONCE):
            part = alike[start : start + _AT_ONCE]
            found = rows.annotate(head=Left("payload", length)).filter(head__in=part)
            # Compared again: some databases don't tell “a” from “A”.
            ids = [pk for pk, head in found.values_list("pk", "head") if head in heads]
            for first in range(0, len(ids), _AT_ONCE):
                tables.delete(tables.all_rows(alias).filter(pk__in=ids[first : first + _AT_ONCE]))
