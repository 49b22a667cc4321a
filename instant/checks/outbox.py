"""An outbox that can't be written, or that nobody would send."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Warning  # noqa: A004
from django.db import DEFAULT_DB_ALIAS, connections, router

from instant.conf import Conf
from instant.models import OutboxRow
from instant.publishing.outbox import is_used

__all__ = ["outbox"]


def outbox(current: Conf) -> Iterator[CheckMessage]:
    """Yield what keeps publications from being rows, or rows from being sent."""
    if not is_used():
        return
    if not router.allow_migrate_model(DEFAULT_DB_ALIAS, OutboxRow):
        yield Warning(
            "DATABASE_ROUTERS keep Instant's tables from the default database, so what is "
            "published in its transactions can't be a row of them: publish() will raise.",
            hint=f"Let allow_migrate() have the app “instant” in {DEFAULT_DB_ALIAS!r}, or name the "
            "database of your transactions: publish(…, using=…).",
            id="instant.W016",
        )
    alias = router.db_for_write(OutboxRow)
    if current.outbox_consumer is not None and connections[alias].vendor != "postgresql":
        yield Warning(
            f"INSTANT['OUTBOX_CONSUMER'] is set, so no relay runs; but the outbox is in {alias!r}, "
            f"which is no PostgreSQL, and Centrifugo can't read it.",
            hint="Leave OUTBOX_CONSUMER out: runws and “manage.py relay_outbox” send the rows.",
            id="instant.W017",
        )
    yield from _consumers(current)


def _consumers(current: Conf) -> Iterator[CheckMessage]:
    """Each node has a consumer, and any of them deletes a row whose namespace it doesn't know."""
    shared = current.engine
    if current.outbox_consumer is None or shared is None or shared.kind == "memory":
        return
    if not shared.nodes:
        yield Warning(
            "INSTANT['OUTBOX_CONSUMER'] is set, and INSTANT['ENGINE'] names no “nodes”: one of "
            "them is asked which namespaces it knows. Another one that hasn't read a new config "
            "would delete rows of a new namespace, which nobody gets then.",
            hint='Name each node\'s API, INSTANT["ENGINE"] = {"broker": "…", "nodes": '
            '["http://10.0.0.1:8427", …]}. With one node only, silence this: '
            'SILENCED_SYSTEM_CHECKS = ["instant.W033"].',
            id="instant.W033",
        )
