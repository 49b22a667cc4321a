"""What keeps the states of channels out of pages, or would show them to people who may not."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.db import connections

from instant import conf
from instant.namespaces import registered

__all__ = ["pages"]


def pages(current: conf.Conf) -> Iterator[CheckMessage]:
    """Compare the namespaces that have a state with the settings."""
    with_state = [cls for cls in registered() if cls.has_snapshot()]
    for cls in with_state:
        if cls.snapshot_is_public and not current.anonymous:
            yield Error(
                f"{cls.__module__}.{cls.__qualname__}.snapshot_is_public: pages that caches share "
                "are seen by visitors, and INSTANT['ANONYMOUS'] is False.",
                hint="Leave out one of the two.",
                obj=cls,
                id="instant.E010",
            )
    if not with_state:
        return
    for alias in connections:
        remedy = _remedy(alias)
        if remedy is not None:
            yield Warning(
                f"The database {alias!r} has ATOMIC_REQUESTS, and its transactions may show what "
                "was there when they began: {% instant_state %} leaves the state out, and every "
                "page asks for it by itself.",
                hint=remedy,
                id="instant.W020",
            )


def _remedy(alias: str) -> str | None:
    """Return what lets the requests of a database read what is committed; None if they do."""
    connection = connections[alias]
    if not connection.settings_dict.get("ATOMIC_REQUESTS"):
        return None
    options = connection.settings_dict.get("OPTIONS") or {}
    level = str(options.get("isolation_level", "")).lower()
    match connection.vendor:
        case "sqlite":
            # Another mode than WAL, and “IMMEDIATE” with any, let nobody commit meanwhile.
            has_wal = "wal" in str(options.get("init_command", "")).lower()
            if not has_wal or str(options.get("transaction_mode", "")).upper() in {
                "IMMEDIATE",
                "EXCLUSIVE",
            }:
                return None
            return (
                'DATABASES = {"default": {…, "OPTIONS": {"transaction_mode": "IMMEDIATE"}}}, or '
                "no ATOMIC_REQUESTS, or @transaction.non_atomic_requests on the page's view."
            )
        case "mysql":
            if "isolation_level" not in options or level.startswith("read "):
                return None
        case "postgresql":
            from django.db.backends.postgresql.psycopg_any import (  # noqa: PLC0415  needs psycopg
                IsolationLevel,
            )

            repeating = (IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE)
            if options.get("isolation_level") not in repeating:
                return None
        case _:
            pass
    return "@transaction.non_atomic_requests on the page's view, or the level “read committed”."
