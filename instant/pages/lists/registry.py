"""The lists that pages follow, in the database: found by digest, and whom pages have given them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from instant import conf
from instant.pages.lists.model import LiveList, LiveListReader
from instant.tenancy import current as tenancy

__all__ = [
    "are_there",
    "change",
    "find",
    "following",
    "forget_users",
    "given",
    "in_transaction",
    "is_given",
    "kept",
    "kept_since",
    "let",
    "life",
    "may_read",
    "own",
    "public",
    "readers",
]


def own() -> QuerySet[LiveList]:
    """Return the current tenant's lists, in the database that is written to."""
    alias = router.db_for_write(LiveList)
    return LiveList._base_manager.using(alias).filter(tenant=tenancy.current())  # noqa: SLF001


def readers() -> QuerySet[LiveListReader]:
    """Return who has been given lists, in the database that is written to."""
    return LiveListReader._base_manager.using(router.db_for_write(LiveListReader))  # noqa: SLF001


def life() -> timedelta:
    """Return ``TOKEN_LIFE``."""
    return timedelta(seconds=conf.current().token_life)


def kept_since() -> datetime:
    """Return when a list must have been followed last, for us to have it still."""
    return timezone.now() - 2 * life()


def kept() -> QuerySet[LiveList]:
    """Return the tenant's lists that pages may have, also those that rest."""
    return own().filter(expires_at__gt=kept_since())


def find(digest: str) -> LiveList | None:
    """Return a list that is still kept."""
    return kept().filter(digest=digest).first()


def is_given(row: LiveList, sub: str) -> bool:
    """Tell whether a user was given a list that isn't for everybody; each page asks with rows."""
    return _is_there(LiveListReader, {"list_id =": [row.pk], "sub =": [sub]})


def given(digests: Collection[str], sub: str) -> list[LiveList]:
    """
    Return those of the lists that are kept and that a user may follow; one query.

    Without their keys and queries, which may be long.
    """
    let_to = readers().filter(list=OuterRef("pk"), sub=sub, expires_at__gt=timezone.now())
    asked = kept().filter(digest__in=list(digests)).annotate(is_given=Exists(let_to))
    rows: Any = asked.defer("keys", "queryset", "row")
    return [row for row in rows if row.is_public or row.is_given]


def following(labels: Iterable[str], database: str) -> QuerySet[LiveList]:
    """Return the lists for which changes of these models count."""
    return own().filter(model__in=labels, database=database, expires_at__gt=timezone.now())


def are_there(labels: Collection[str]) -> bool:
    """Tell whether lists follow these models, be it another tenant's or another database's."""
    return _is_there(LiveList, {"model IN": labels})


def _is_there(model: Any, wanted: Mapping[str, Collection[Any]]) -> bool:
    """
    Tell whether there is such a row that isn't over.

    Written by hand, for each save asks, and each page: to have Django write the question takes
    longer than the answer. ``wanted`` are columns, with how they are compared.
    """
    connection = connections[router.db_for_write(model)]
    quote, said = connection.ops.quote_name, []
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    wanted = {**wanted, "expires_at >": [now]}
    for what, values in wanted.items():
        column, how = what.split()
        marks = ", ".join(["%s"] * len(values))
        said.append(f"{quote(column)} {how} ({marks})")
    table = quote(model._meta.db_table)  # noqa: SLF001  Django's documented API
    sql = f"SELECT 1 FROM {table} WHERE {' AND '.join(said)}"  # noqa: S608  all names are ours
    parameters = [one for values in wanted.values() for one in values]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone() is not None


def change(row: LiveList, values: Mapping[str, Any]) -> bool:
    """
    Write columns of a list, its version among them; False where somebody has written since.

    By hand for the same reason.
    """
    connection = connections[router.db_for_write(LiveList)]
    quote = connection.ops.quote_name
    table = quote(LiveList._meta.db_table)  # noqa: SLF001
    written = ", ".join(f"{quote(name)} = %s" for name in values)
    sql = f"UPDATE {table} SET {written} WHERE {quote('id')} = %s AND {quote('version')} = %s"  # noqa: S608
    with transaction.mark_for_rollback_on_error(connection.alias), connection.cursor() as cursor:
        cursor.execute(sql, [*values.values(), row.pk, row.version])
        return bool(cursor.rowcount)


def let(row: LiveList, sub: str) -> None:
    """Note that a user has been given the list by a page."""
    now = timezone.now()
    known = readers().filter(list=row, sub=sub)
    until = known.values_list("expires_at", flat=True).first()
    if until is None:
        reader = LiveListReader(list=row, sub=sub, expires_at=now + 1.5 * life())
        # The list may have been removed just now: then its page asks for another one.
        with suppress(IntegrityError), transaction.atomic(using=known.db):
            readers().bulk_create([reader], ignore_conflicts=True)
    elif until < now + 1.2 * life():
        known.update(expires_at=now + 1.5 * life())


def may_read(digests: Iterable[str], subs: Iterable[str]) -> set[tuple[str, str]]:
    """Return which of the users, by their keys as text, may follow which of the lists."""
    subs = list(subs)
    rows = kept().filter(digest__in=list(digests))
    found = rows.filter(readers__sub__in=subs, readers__expires_at__gt=timezone.now())
    return set(found.values_list("digest", "readers__sub")) & {
        (digest, sub) for digest in digests for sub in subs
    }


def public(digests: Iterable[str]) -> set[str]:
    """Return which of the lists are for everybody."""
    rows = kept().filter(digest__in=list(digests), is_public=True)
    return set(rows.values_list("digest", flat=True))


def in_transaction(*aliases: str) -> bool:
    """Tell whether one of the databases is in a transaction, whose end nobody knows."""
    return any(connections[alias].in_atomic_block for alias in aliases)


def forget_users(subs: Collection[str] | None, *, ago: timedelta = timedelta(0)) -> int:
    """
    Forget which lists users have been given ``ago`` or earlier; return how many.

    None is everybody. Their pages have to ask for the lists anew.
    """
    found = readers().filter(list__in=own())
    if subs is not None:
        found = found.filter(sub__in=list(subs))
    if ago:
        found = found.filter(expires_at__lte=timezone.now() - ago + 1.5 * life())
    # On SQLite nobody writes in the background who needn't.
    return found.delete()[0] if found.exists() else 0
