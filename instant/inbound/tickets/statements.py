"""
The statements that each request needs, written once and not for each of them.

Django makes the text of a query anew each time, which takes longer than most databases need to
run it. What these say is SQL that all of them have; values are prepared by the model's fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql import InsertQuery

from instant.inbound.tickets.model import Ticket

__all__ = ["insert", "update"]

_META = Ticket._meta  # noqa: SLF001  Django's documented API

_FIELDS = {field.attname: field for field in _META.concrete_fields}


def insert(alias: str, ticket: Ticket) -> None:
    """Write the row of a new ticket."""
    connection = connections[alias]
    sql = _insert(alias, connection.vendor)
    values = [
        field.get_db_prep_save(getattr(ticket, name), connection) for name, field in _FIELDS.items()
    ]
    _execute(connection, sql, values)
    ticket._state.adding, ticket._state.db = False, alias  # noqa: SLF001  as save() leaves it


def update(alias: str, where: Mapping[str, Any], changes: Mapping[str, Any]) -> int:
    """Change the rows where all columns have these values; return how many."""
    connection = connections[alias]
    sql = _update(connection.vendor, tuple(where), tuple(changes))
    values = [
        _FIELDS[name].get_db_prep_save(value, connection)
        for name, value in [*changes.items(), *where.items()]
    ]
    return _execute(connection, sql, values)


@cache
def _insert(alias: str, vendor: str) -> str:  # noqa: ARG001  a test's alias may change its vendor
    query = InsertQuery(Ticket)
    query.insert_values(list(_FIELDS.values()), [Ticket()])
    [(sql, _)] = query.get_compiler(using=alias).as_sql()
    return str(sql)


@cache
def _update(vendor: str, where: tuple[str, ...], changes: tuple[str, ...]) -> str:  # noqa: ARG001
    # Plain names of ours, which are in no database's way: they need no quotes.
    set_ = ", ".join(f"{_FIELDS[name].column} = %s" for name in changes)
    and_ = " AND ".join(f"{_FIELDS[name].column} = %s" for name in where)
    return f"UPDATE {_META.db_table} SET {set_} WHERE {and_}"  # noqa: S608  ours, all of them


def _execute(connection: BaseDatabaseWrapper, sql: str, values: list[Any]) -> int:
    with transaction.mark_for_rollback_on_error(using=connection.alias), connection.cursor() as c:
        c.execute(sql, values)
        return int(c.rowcount)
