"""
A query as a text in our table, and back.

Django's own form of it is a pickle. It is signed with the site's SECRET_KEY, and looked at only
if the signature is ours: whoever can write to the table can't have code run. It never leaves
the database.

Beside it stands the SQL for the keys, which each change asks for: that is sooner done than to
read the query. And where two versions of Django run side by side during a deploy, each can tell
the lists of the other what has changed.
"""

from __future__ import annotations

import base64
import pickle
from typing import Any

import django
from django.apps import apps
from django.core import signing
from django.db import connections

from instant.pages.lists.description import keys_query

__all__ = ["Foreign", "Unreadable", "keys", "pack", "unpack"]

_SALT = "instant.pages.lists.query"
_LONGEST = 200_000


class Unreadable(Exception):
    """What another version has written, or somebody else."""


class Foreign(Unreadable):
    """Another version of Django has written it: only the keys can be asked for."""


def pack(queryset: Any, database: str) -> str:
    """Return the text of a queryset; raise ValueError where it can't be kept."""
    label = queryset.model._meta.label  # noqa: SLF001  Django's documented API
    try:
        query = pickle.dumps((queryset.query, queryset._prefetch_related_lookups))  # noqa: SLF001
        asked = keys_query(queryset).query.get_compiler(using=database).as_sql()
        what = (django.get_version(), label, query, asked)
        text = base64.b64encode(pickle.dumps(what)).decode()
    except Exception as exc:
        raise ValueError(f"This queryset of {label} can't be kept for a live list: {exc}") from exc
    if len(text) > _LONGEST:
        raise ValueError(
            f"The query of this list of {label} is too long: filter with a subquery instead of "
            "thousands of values."
        )
    return signing.Signer(salt=_SALT).sign(text)


def unpack(text: str, database: str) -> Any:
    """Return the queryset of a text; raise Unreadable where it isn't ours, or not of this day."""
    try:
        version, label, packed, _ = _read(text)
        is_ours = version == django.get_version()
        query, prefetched = pickle.loads(packed) if is_ours else (None, ())  # noqa: S301
        queryset = apps.get_model(label)._base_manager.using(database).all()  # noqa: SLF001
    except Exception as exc:
        raise Unreadable(f"The query of a live list can't be read: {exc}") from exc
    if not is_ours:
        raise Foreign("Another version of Django has written the query.")
    queryset.query = query
    queryset._prefetch_related_lookups = prefetched  # noqa: SLF001
    return queryset


def keys(text: str, database: str) -> tuple[Any, list[str]]:
    """
    Return the model and the primary keys of the rows, in order; raise Unreadable.

    It runs the SQL that stands beside the query, whoever has written it: each change asks, and to
    make the query again takes Django longer than the answer.
    """
    try:
        _, label, _, (sql, parameters) = _read(text)
        model = apps.get_model(label)
    except Exception as exc:
        raise Unreadable(f"The query of a live list can't be read: {exc}") from exc
    connection = connections[database]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = [row[0] for row in cursor.fetchall()]
    meta = model._meta  # noqa: SLF001  Django's documented API
    column = meta.pk.get_col(meta.db_table)  # of what a key that is a relation refers to
    converters = connection.ops.get_db_converters(column) + column.get_db_converters(connection)
    for convert in converters:
        found = [convert(key, column, connection) for key in found]
    return model, [str(key) for key in found]


def _read(text: str) -> Any:
    known = signing.Signer(salt=_SALT).unsign(text)
    return pickle.loads(base64.b64decode(known))  # noqa: S301
