"""A list for a page that shows it: the one that is kept, or a new one."""

from __future__ import annotations

import json
import time

from django.db import IntegrityError, transaction
from django.utils import timezone

from instant.pages.lists import registry, resting
from instant.pages.lists.description import Description
from instant.pages.lists.model import LiveList
from instant.pages.lists.stored_query import pack
from instant.tenancy import current as tenancy

__all__ = ["NoRoom", "opened"]

_EVERY = 60.0
"""Seconds between two looks of one process for what is kept long enough."""

_AT_ONCE = 200
"""Lists that one look removes."""

_looked: dict[str, float] = {}


class NoRoom(Exception):
    """No other list of the model may be followed now, or none from here."""


def opened(description: Description) -> tuple[LiveList, bool]:
    """
    Return the list of a description, followed from now on, and whether it is new.

    A new one has version 0. Whoever changes a row of its model from here on finds it, once it is
    committed. Raises NoRoom.
    """
    found = registry.own().filter(digest=description.digest).first()
    if found is not None:
        if _is_followed(found):
            return found, False
        if registry.own().filter(pk=found.pk).exists():  # it may have been removed just now
            raise NoRoom
    return _made(description)


def _is_followed(row: LiveList) -> bool:
    until = timezone.now() + resting.FIRST
    return row.expires_at >= until - resting.FIRST / 2 or resting.revive(row, until)


def _made(description: Description) -> tuple[LiveList, bool]:
    _remove_old()
    if not resting.has_room(description.model):
        raise NoRoom
    made = LiveList(
        digest=description.digest,
        tenant=tenancy.current(),
        model=description.model,
        database=description.database,
        queryset=pack(description.queryset, description.database),
        row=json.dumps(dict(description.row)),
        is_public=description.row.get("public", False),
        expires_at=timezone.now() + resting.FIRST,
    )
    rows = registry.own()
    try:
        with transaction.atomic(using=rows.db):
            made.save(using=rows.db, force_insert=True)
    except IntegrityError:  # somebody else has opened it just now
        return _others(description), False
    return made, True


def _others(description: Description) -> LiveList:
    """
    Return what another transaction has made just now.

    A transaction that repeats its reads doesn't see it; on MySQL it does if it reads to write.
    Where nothing helps, the page follows nothing.
    """
    rows = registry.own().filter(digest=description.digest)
    found = rows.first()
    if found is None:
        with transaction.atomic(using=rows.db):
            found = rows.select_for_update().first()
    if found is None or not _is_followed(found):
        raise NoRoom
    return found


def _remove_old() -> None:
    """Remove, now and then, what nobody has looked at for a while."""
    tenant, now = tenancy.current(), time.monotonic()
    if now < _looked.get(tenant, -_EVERY) + _EVERY:
        return
    _looked[tenant] = now
    registry.readers().filter(list__in=registry.own(), expires_at__lt=timezone.now()).delete()
    old = registry.own().filter(expires_at__lt=registry.kept_since())
    resting.remove(list(old.values_list("pk", flat=True)[:_AT_ONCE]))
