"""
Publications become rows of a table, in the transaction that they tell about.

A relay (``manage.py relay_outbox``, also part of ``runws``) or Centrifugo itself sends them after
the commit, whatever becomes of the process that published.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from instant import conf
from instant.backends.centrifugo import CentrifugoBackend
from instant.exceptions import PublishError
from instant.models import OutboxRow
from instant.publishing.commit_hook import wait_for_commit
from instant.publishing.outbox import rows, settle, tables, wake
from instant.publishing.publication import Envelope
from instant.tenancy import current as tenancy

__all__ = ["OutboxBackend"]

logger = logging.getLogger("instant.outbox")


@dataclass(frozen=True, slots=True)
class _Written:
    """Envelopes that were written, where, and as which rows."""

    backend: OutboxBackend
    envelopes: Sequence[Envelope]
    alias: str
    tenant: str
    ids: Sequence[int]


class OutboxBackend(CentrifugoBackend):
    """
    Writes one row a publication, or one a partition for a broadcast, with one INSERT a call.

    What is published with ``on_commit=False`` goes to the server at once, as without an outbox.
    Rights are enforced there too.
    """

    transactional = True
    is_relayed = True

    def in_transaction(
        self, envelopes: Sequence[Envelope], connection: BaseDatabaseWrapper
    ) -> None:
        """See BaseBackend.in_transaction(). In what will be rolled back nothing is written."""
        if not connection.needs_rollback:
            self._write(envelopes, connection)

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Write rows, committed at once where no transaction is open; see BaseBackend.send()."""
        self._write_each([envelope for envelope in envelopes if envelope.on_commit])
        direct = [envelope for envelope in envelopes if not envelope.on_commit]
        if direct:
            super().send(direct)

    async def asend(self, envelopes: Sequence[Envelope]) -> None:
        """See send(); the rows are written in the thread to which Django keeps connections."""
        written = [envelope for envelope in envelopes if envelope.on_commit]
        if written:
            await sync_to_async(self._write_each)(written)
        direct = [envelope for envelope in envelopes if not envelope.on_commit]
        if direct:
            await super().asend(direct)

    def _write_each(self, envelopes: Sequence[Envelope]) -> None:
        """Write to each database what is for it, in order."""
        by_database: dict[str, list[Envelope]] = {}
        for envelope in envelopes:
            alias = envelope.using or router.db_for_write(OutboxRow)
            by_database.setdefault(alias, []).append(envelope)
        try:
            while by_database:
                alias = next(iter(by_database))
                self._write(by_database[alias], connections[alias])
                del by_database[alias]
        except BaseException:
            for waiting in by_database.values():
                for envelope in waiting:
                    envelope.give_up()
            raise

    def _write(self, envelopes: Sequence[Envelope], connection: BaseDatabaseWrapper) -> None:
        settings = conf.current()
        rows.check_table(connection.alias)
        settle.settle(connection)
        ids = rows.insert(
            connection,
            list(rows.rows_for(envelopes, settings.outbox_partitions)),
            # On SQLite nothing is written beside requests that doesn't have to be.
            returning=settings.outbox_immediate and connection.vendor != "sqlite",
        )
        for envelope in envelopes:
            envelope.mark("queued")
        if settings.outbox_immediate:
            written = _Written(self, envelopes, connection.alias, tenancy.current(), ids)
            if connection.in_atomic_block:
                wait_for_commit(connection, [written], _send_now)
            elif connection.get_autocommit():
                _send_now([written])
        elif settings.outbox_consumer is None:
            wake.after_commit(connection)

    def send_now(self, envelopes: Sequence[Envelope]) -> bool:
        """Send what there are rows of, as far as that is possible; tell whether all of it was."""
        try:
            super().send(envelopes)
        except PublishError as exc:  # its rows are sent later
            logger.info("Left to the outbox: %s", exc)
        except Exception:
            logger.exception("Left to the outbox.")
        else:
            return True
        for envelope in envelopes:
            envelope.queue_failed()
        return False


def _send_now(written: Sequence[_Written]) -> None:
    """Send after the commit what was written in it, and delete the rows; never raise."""
    envelopes = [envelope for one in written for envelope in one.envelopes]
    is_sent = written[0].backend.send_now(envelopes)
    for tenant, of_tenant in tenancy.by_tenant(written, lambda one: one.tenant):
        if is_sent:
            _delete(of_tenant[0].alias, tenant, [id_ for one in of_tenant for id_ in one.ids])
        wake.ring_for(tenant)


def _delete(alias: str, tenant: str, ids: Sequence[int]) -> None:
    """Delete rows where they were written: each tenant may have a table of its own."""
    try:
        with tenancy.activate(tenant):
            for start in range(0, len(ids), tables.LIMIT):
                part = ids[start : start + tables.LIMIT]
                tables.delete(tables.all_rows(alias).filter(pk__in=part))
    except (DatabaseError, LookupError) as exc:
        # They are sent again, which the server knows by their keys.
        logger.info("Rows that were sent stay in the outbox: %s", exc)
