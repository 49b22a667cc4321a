"""Whether the database has what Instant needs: code is deployed before it is migrated."""

from __future__ import annotations

import functools
import logging
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import DatabaseError, connections, router, transaction

from instant.models import Channel, Revocation
from instant.tenancy import current as tenancy

__all__ = ["apart", "are_there", "have_database"]

logger = logging.getLogger("instant.enforcement")

_found: set[tuple[str, str, str]] = set()

_MISSED = 30.0
"""Seconds for which what tenants share is believed to have none: it may never have any."""

_missed_until = 0.0


def are_there() -> bool:
    """
    Tell whether our tables and their columns are there; asked until they are, then never again.

    What is missing is logged once, and breaks nothing of the transaction that is open.
    """
    asked = [(router.db_for_write(Revocation), Revocation), (router.db_for_read(Channel), Channel)]
    global _missed_until  # noqa: PLW0603  one value per process, replaced whole
    tenant = tenancy.current()
    keys = {(alias, str(connections[alias].settings_dict["NAME"]), tenant) for alias, _ in asked}
    if keys <= _found:
        return True
    if not tenant and time.monotonic() < _missed_until:
        return False
    if any(connections[alias].needs_rollback for alias, _ in asked):
        return False  # nothing of this transaction will be committed
    try:
        for alias, model in asked:
            with apart(alias):
                model._base_manager.using(alias).first()  # noqa: SLF001  Django's documented API
    except DatabaseError as exc:
        if tenancy.are_used() and not tenant:
            _missed_until = time.monotonic() + _MISSED
        _log_once(str(exc), tenant)
        return False
    _found.update(keys)
    return True


def have_database() -> bool:
    """Tell whether the settings name a database; a site may do without."""
    engine: str = connections[router.db_for_write(Revocation)].settings_dict["ENGINE"]
    return engine != "django.db.backends.dummy"


def apart(alias: str) -> AbstractContextManager[Any]:
    """Let a query that fails undo nothing but itself, where a transaction is open."""
    if connections[alias].in_atomic_block:
        return transaction.atomic(using=alias)
    return nullcontext()


@functools.cache
def _log_once(problem: str, tenant: str) -> None:
    if tenancy.are_used():
        # What is shared needs none where only the tenants have channels.
        logger.log(
            logging.ERROR if tenant else logging.INFO,
            "Rights that end are not enforced for the tenant “%s”, whose tables are missing: %s",
            tenant,
            problem.strip(),
        )
        return
    logger.error(
        "Rights that end are not enforced before “manage.py migrate” is run: %s", problem.strip()
    )
