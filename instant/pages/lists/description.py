"""What a live list is: a queryset whose rows have an order, and how one of them is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import django
from django.core.exceptions import EmptyResultSet
from django.core.paginator import Page
from django.db import router
from django.db.models import Prefetch, QuerySet
from django.db.models.manager import BaseManager
from django.utils.crypto import salted_hmac

from instant.pages.lists.following import follows
from instant.tenancy import current as tenancy

__all__ = ["MOST", "Description", "checked", "describe", "keys_query", "row_name"]

MOST = 5_000
"""Rows of a list."""

_SALT = "instant.pages.lists"


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """A queryset that can be followed, and how a row is shown."""

    queryset: Any
    """In an order without ties."""
    row: Mapping[str, Any]
    """``template`` and ``name``, or ``columns``; ``public``, ``language`` and ``zone``."""
    database: str
    """The alias of the one that is asked."""
    digest: str
    """Names it: nobody can guess it, and equal lists have the same."""

    @property
    def model(self) -> str:
        """The label of the model whose changes count."""
        label: str = self.queryset.model._meta.concrete_model._meta.label_lower  # noqa: SLF001
        return label


def describe(queryset: Any, row: Mapping[str, Any]) -> Description:
    """
    Return what the list is.

    Raises ValueError for a queryset that can't be followed, and says what to do; EmptyResultSet
    for one of which the database need not be asked, as ``none()``.
    """
    _check(queryset)
    ordered = _ordered(queryset)
    columns = _columns(ordered)
    if "template" in row and columns is not None:
        raise ValueError(
            "{% livelist %} shows objects: leave .values() and .values_list() out of the queryset."
        )
    if "template" not in row:
        if columns is None:
            raise ValueError(
                "live() needs the columns of a row: live(queryset.values('id', 'name'), …)."
            )
        row = {**row, "columns": columns}
    database = _database(ordered)
    label = ordered.model._meta.label_lower  # noqa: SLF001  Django's documented API
    asked = [*_asked(ordered, database), _prefetched(ordered, database)]
    # Of another Django the SQL may differ, and its kept query can't be used: each has its lists.
    whole = [tenancy.current(), label, database, asked, dict(row), django.get_version()]
    text = json.dumps(whole, sort_keys=True, default=str)
    digest = salted_hmac(_SALT, text, algorithm="sha256").hexdigest()[:40]
    return Description(ordered, row, database, digest)


def keys_query(queryset: Any) -> Any:
    """Return the query for the primary keys, of one more row than a list may have at most."""
    found = queryset._chain()  # noqa: SLF001  what every method of a queryset begins with
    found._prefetch_related_lookups = ()  # noqa: SLF001
    found = found.values_list("pk", flat=True)
    if found.query.high_mark is None:
        low = found.query.low_mark
        found.query.set_limits(high=MOST + 1)
        found.query.low_mark = low
    return found


def checked(keys: list[str], model: Any) -> list[str]:
    """Return the keys of a model's rows; raise ValueError where a list can't have them."""
    label = model._meta.label  # noqa: SLF001  Django's documented API
    if len(keys) > MOST:
        raise ValueError(
            f"A live list has at most {MOST:,} rows, and this one of {label} has more: slice it, "
            "as in queryset[:100]."
        )
    if len(set(keys)) != len(keys):
        raise ValueError(
            f"A row of {label} is in the list more than once: its filter follows a relation to "
            "many. Add .distinct(), or ask with Exists() or pk__in."
        )
    return keys


def _instead_of(given: Any) -> str:
    """Return what to do about what is no queryset."""
    if hasattr(given, "raw_query"):
        return ": raw SQL can't be followed."
    if isinstance(given, BaseManager):
        return ": give it .all()."
    if isinstance(given, Page):
        return ": slice the queryset yourself, as in queryset[:50]."
    missing = given is None or isinstance(given, str)
    return ". Does the template's context have it?" if missing else "."


def _check(queryset: Any) -> None:
    if not isinstance(queryset, QuerySet):
        raise ValueError(  # noqa: TRY004  as for the others
            f"A live list needs a queryset, not {type(queryset).__name__}{_instead_of(queryset)}"
        )
    query, label = queryset.query, queryset.model._meta.label  # noqa: SLF001
    refused = [
        (query.combinator, "a union, an intersection or a difference"),
        (query.distinct_fields, "distinct() with fields"),
        (query.group_by is not None, "aggregates; keep the number in a column"),
        (query.extra or query.extra_order_by, "extra()"),
        ("?" in query.order_by, "a random order"),
        (query.select_for_update, "select_for_update()"),
    ]
    for name, annotation in query.annotations.items():
        if getattr(annotation, "contains_aggregate", False):
            refused.append((True, f"aggregates ({name}); keep the number in a column"))
        if getattr(annotation, "contains_over_clause", False):
            refused.append((True, f"window functions ({name})"))
    for found, what in refused:
        if found:
            raise ValueError(f"A live list of {label} can't have {what}.")
    if isinstance(queryset.model._meta.pk, tuple) or hasattr(queryset.model._meta.pk, "fields"):  # noqa: SLF001
        raise ValueError(f"{label} has a composite primary key, which live lists don't know.")
    if not follows(queryset.model):
        raise ValueError(
            f"{label} tells nobody of its changes. Give the model a class Instant with "
            "“lists = True”, or declare it with @broadcasts in a realtime.py."
        )


def _ordered(queryset: Any) -> Any:
    """Return the queryset with the primary key behind its order, so that there are no ties."""
    ordered = queryset._chain()  # noqa: SLF001
    query = ordered.query
    low, high = query.low_mark, query.high_mark
    query.clear_limits()
    given = query.order_by or (queryset.model._meta.ordering if query.default_ordering else ())  # noqa: SLF001
    ordered = ordered.order_by(*given, "pk")
    ordered.query.set_limits(low, high)
    if high is not None and high - low > MOST:
        checked([""] * (high - low), queryset.model)
    return ordered


def _asked(queryset: Any, database: str) -> list[Any]:
    """Return the SQL with its parameters."""
    sql, parameters = queryset.query.get_compiler(using=database).as_sql()
    return [sql, _text(parameters)]


def _text(parameter: Any) -> Any:
    """Return what a parameter is, all of it."""
    if isinstance(parameter, list | tuple):
        return [_text(one) for one in parameter]
    if isinstance(parameter, memoryview):
        parameter = bytes(parameter)
    # JSON of psycopg 3 and 2: the text of the one is cut short, that of the other an address.
    for name in ("obj", "adapted"):
        if hasattr(parameter, name):
            return [type(parameter).__name__, repr(getattr(parameter, name))]
    return repr(parameter)


def _prefetched(queryset: Any, database: str) -> list[Any]:
    """Return what prefetch_related() reads besides, which the SQL of the rows doesn't say."""
    found: list[Any] = []
    for lookup in getattr(queryset, "_prefetch_related_lookups", ()):
        if not isinstance(lookup, Prefetch):
            found.append(lookup)
            continue
        # A GenericPrefetch has several.
        some = getattr(lookup, "querysets", None) or [lookup.queryset]
        read = [_read(one, database) for one in some if one is not None]
        found.append([lookup.prefetch_through, lookup.prefetch_to, read])
    return found


def _read(queryset: Any, database: str) -> list[Any]:
    label, alias = queryset.model._meta.label_lower, queryset._db or database  # noqa: SLF001
    try:
        asked = _asked(queryset, alias)
    except EmptyResultSet:  # as none()
        asked = []
    return [label, alias, asked, _prefetched(queryset, alias)]


def _columns(queryset: Any) -> Sequence[str] | None:
    """Return what values() names; None where rows are objects."""
    if queryset._fields is None:
        return None
    query = queryset.query
    return [*query.values_select, *query.annotation_select]


def _database(queryset: Any) -> str:
    """Return the database that a list is asked of: the one that is written to."""
    found: str = queryset._db or router.db_for_write(queryset.model)  # noqa: SLF001
    return found


def row_name(queryset: Any) -> str:
    """Return what a row's template calls its object, where nobody says otherwise."""
    model = getattr(queryset, "model", None)
    name: str = "row" if model is None else model._meta.model_name  # noqa: SLF001
    return name
