"""The lists that pages follow: found by digest, kept while somebody looks, and no longer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import timedelta

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from instant import conf
from instant.pages.lists.description import Description
from instant.pages.lists.model import LiveList, LiveListReader
from instant.pages.lists.stored_query import pack
from instant.tenancy import current as tenancy

__all__ = [
    "find",
    "following",
    "forget_user",
    "in_transaction",
    "let",
    "may_read",
    "opened",
    "own",
    "public",
]

_EVERY = 60.0
"""Seconds between two looks of one process for what nobody looks at any more."""

_AT_ONCE = 200
"""Lists that one look removes."""

_looked: dict[str, float] = {}


def own() -> QuerySet[LiveList]:
    """Return the current tenant's lists, in the database that is written to."""
    alias = router.db_for_write(LiveList)
    return LiveList._base_manager.using(alias).filter(tenant=tenancy.current())  # noqa: SLF001


def find(digest: str) -> LiveList | None:
    """Return a list that is still kept."""
    return own().filter(digest=digest, expires_at__gt=timezone.now()).first()


def following(labels: Iterable[str], database: str) -> QuerySet[LiveList]:
    """Return the lists for which changes of these models count."""
    return own().filter(model__in=labels, database=database, expires_at__gt=timezone.now())


def opened(description: Description) -> tuple[LiveList, bool]:
    """
    Return the list of a description, kept from now on, and whether it is new.

    A new one has version 0. Whoever changes a row of its model from here on finds it, once it is
    committed.
    """
    now, life = timezone.now(), _life()
    rows = own().filter(digest=description.digest)
    found = rows.first()
    if found is not None and found.expires_at < now + 1.5 * life:
        values = {"expires_at": now + 2 * life, "queryset": pack(description.queryset)}
        if not rows.update(**values):
            found = None  # it was removed just now
    if found is None:
        _remove_old()
        made = LiveList(
            digest=description.digest,
            tenant=tenancy.current(),
            model=description.model,
            database=description.database,
            queryset=pack(description.queryset),
            row=json.dumps(dict(description.row)),
            is_public=description.row.get("public", False),
            expires_at=now + 2 * life,
        )
        try:
            with transaction.atomic(using=rows.db):
                made.save(using=rows.db, force_insert=True)
        except IntegrityError:  # somebody else has opened it just now
            found = rows.get()
        else:
            return made, True
    return found, False


def let(row: LiveList, sub: str) -> None:
    """Note that a user has been given the list by a page."""
    now, life, alias = timezone.now(), _life(), router.db_for_write(LiveList)
    readers = LiveListReader._base_manager.using(alias).filter(list=row, sub=sub)  # noqa: SLF001
    until = readers.values_list("expires_at", flat=True).first()
    if until is None:
        reader = LiveListReader(list=row, sub=sub, expires_at=now + 1.5 * life)
        LiveListReader._base_manager.using(alias).bulk_create(  # noqa: SLF001
            [reader], ignore_conflicts=True
        )
    elif until < now + 1.2 * life:
        readers.update(expires_at=now + 1.5 * life)


def may_read(digests: Iterable[str], subs: Iterable[str]) -> set[tuple[str, str]]:
    """Return which of the users, by their keys as text, may follow which of the lists."""
    now, subs = timezone.now(), list(subs)
    rows = own().filter(digest__in=list(digests), expires_at__gt=now)
    found = rows.filter(readers__sub__in=subs, readers__expires_at__gt=now)
    return set(found.values_list("digest", "readers__sub")) & {
        (digest, sub) for digest in digests for sub in subs
    }


def public(digests: Iterable[str]) -> set[str]:
    """Return which of the lists are for everybody."""
    rows = own().filter(digest__in=list(digests), is_public=True, expires_at__gt=timezone.now())
    return set(rows.values_list("digest", flat=True))


def in_transaction(*aliases: str) -> bool:
    """Tell whether one of the databases is in a transaction, whose end nobody knows."""
    return any(connections[alias].in_atomic_block for alias in aliases)


def forget_user(sub: str) -> int:
    """Forget which lists a user has been given; return how many."""
    alias = router.db_for_write(LiveList)
    readers = LiveListReader._base_manager.using(alias)  # noqa: SLF001
    return readers.filter(list__tenant=tenancy.current(), sub=sub).delete()[0]


def _life() -> timedelta:
    return timedelta(seconds=conf.current().token_life)


def _remove_old() -> None:
    """Remove, now and then, what nobody has looked at for a while."""
    tenant, now = tenancy.current(), time.monotonic()
    if now < _looked.get(tenant, -_EVERY) + _EVERY:
        return
    _looked[tenant] = now
    rows, moment = own(), timezone.now()
    old = list(rows.filter(expires_at__lt=moment).values_list("pk", flat=True)[:_AT_ONCE])
    readers = LiveListReader._base_manager.using(rows.db)  # noqa: SLF001
    readers.filter(Q(list__in=old) | Q(expires_at__lt=moment)).delete()
    rows.filter(pk__in=old).delete()
