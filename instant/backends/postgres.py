"""
Publications go to Centrifugo's PostgreSQL broker, in the transaction that they tell about.

Experimental, as that broker is. Source of what its function takes: the schema that Centrifugo
6.9.1 makes, and "Engines and scalability" (centrifugal.dev).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DEFAULT_DB_ALIAS

from instant import conf
from instant.backends.centrifugo import CentrifugoBackend
from instant.centrifugo.config.file import read_config
from instant.centrifugo.config.history import History, histories, history_of, stream_prefix
from instant.exceptions import InstantConfigError, PublishError, UnknownNamespace
from instant.publishing.commit_hook import wait_for_commit
from instant.publishing.publication import Envelope, Part, Position

__all__ = ["PostgresBrokerBackend"]

_NOT_IN_JSONB = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_INSERT = """
INSERT INTO instant_broker (
    stream, channel, data, idempotency_key, history_size, history_ttl, meta_ttl, use_delta
)
SELECT %s, c.name, e.data::jsonb, e.key, c.size, make_interval(secs => c.ttl),
    make_interval(secs => c.meta), c.delta
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS e (data, key, number)
JOIN unnest(%s::bigint[], %s::text[], %s::integer[], %s::float8[], %s::float8[], %s::boolean[])
    WITH ORDINALITY AS c (envelope, name, size, ttl, meta, delta, place)
ON c.envelope = e.number
ORDER BY c.place
RETURNING id
"""


class _Broker:
    """What the server's config says of the broker and of each namespace."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.stream = stream_prefix(config)
        self.histories = histories(config)

    def history(self, channel: str) -> History:
        """Return what is kept of a channel; the broker itself would take any name."""
        found = history_of(self.histories, channel)
        if found is None:
            raise UnknownNamespace(
                f"The server's config doesn't have the namespace of {channel!r}: run “manage.py "
                f"syncws --reload”. Nothing was published.",
                channel=channel,
                code=102,
            )
        return found


class PostgresBrokerBackend(CentrifugoBackend):
    """
    Hands publications to the broker at the commit, and none that is rolled back.

    For ``INSTANT["ENGINE"]`` with PostgreSQL, where the broker is in Django's own database. What
    is published with ``on_commit=False`` goes to the server's API. Rights are enforced there too.
    """

    transactional = True

    def __init__(self) -> None:
        super().__init__()
        self._broker: tuple[conf.Conf, _Broker] | None = None
        self._usable: set[str] = set()

    def in_transaction(
        self, envelopes: Sequence[Envelope], connection: BaseDatabaseWrapper
    ) -> None:
        """
        See BaseBackend.in_transaction(). Offset and epoch stay unknown.

        Raises UnknownNamespace, and PublishError for what the broker can't store.
        """
        if not connection.needs_rollback:
            self._insert(envelopes, connection)
            if connection.in_atomic_block:
                wait_for_commit(connection, envelopes, _sent)

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Publish in a transaction of its own; see BaseBackend.send()."""
        self._publish_each([envelope for envelope in envelopes if envelope.on_commit])
        direct = [envelope for envelope in envelopes if not envelope.on_commit]
        if direct:
            super().send(direct)

    async def asend(self, envelopes: Sequence[Envelope]) -> None:
        """See send(); in the thread to which Django keeps connections."""
        published = [envelope for envelope in envelopes if envelope.on_commit]
        if published:
            await sync_to_async(self._publish_each)(published)
        direct = [envelope for envelope in envelopes if not envelope.on_commit]
        if direct:
            await super().asend(direct)

    def _publish_each(self, envelopes: Sequence[Envelope]) -> None:
        by_database: dict[str, list[Envelope]] = {}
        for envelope in envelopes:
            by_database.setdefault(envelope.using or DEFAULT_DB_ALIAS, []).append(envelope)
        try:
            for alias, part in by_database.items():
                self._publish(part, connections[alias])
        except BaseException as exc:
            for envelope in envelopes:
                envelope.give_up()
            if isinstance(exc, DatabaseError):
                raise PublishError(f"The database has not taken the publication: {exc}") from exc
            raise

    def _publish(self, envelopes: Sequence[Envelope], connection: BaseDatabaseWrapper) -> None:
        if connection.in_atomic_block or not connection.get_autocommit():
            self.in_transaction(envelopes, connection)
            return
        with transaction.atomic(using=connection.alias):
            ids = self._insert(envelopes, connection)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT channel_offset, epoch FROM instant_broker_flush() "
                    "WHERE row_id = ANY(%s) ORDER BY row_id",
                    [ids],
                )
                found: list[Position] = cursor.fetchall()
        at = 0
        for envelope in envelopes:
            positions = found[at : at + len(envelope.channels)]
            at += len(positions)
            Part(envelope, 0, len(envelope.channels)).sent(lambda found=positions: found)  # type: ignore[misc]

    def _insert(self, envelopes: Sequence[Envelope], connection: BaseDatabaseWrapper) -> list[int]:
        """Write what is due at the commit, with one statement; return the rows' ids."""
        try:
            broker = self._broker_of(conf.current())
            self._check_database(broker, connection)
            bodies = [_checked(envelope) for envelope in envelopes]
            kept = [
                (number, channel, broker.history(channel))
                for number, envelope in enumerate(envelopes, start=1)
                for channel in envelope.channels
            ]
        except (PublishError, InstantConfigError):
            for envelope in envelopes:
                envelope.give_up()
            raise
        parameters: list[Any] = [
            broker.stream,
            bodies,
            [envelope.idempotency_key for envelope in envelopes],
            [number for number, _, _ in kept],
            [channel for _, channel, _ in kept],
            [history.size for _, _, history in kept],
            [history.seconds for _, _, history in kept],
            [history.meta_seconds for _, _, history in kept],
            [history.delta for _, _, history in kept],
        ]
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, parameters)
            return [id_ for (id_,) in cursor.fetchall()]

    def _broker_of(self, settings: conf.Conf) -> _Broker:
        known = self._broker
        if known is not None and known[0] is settings:
            return known[1]
        config = read_config(settings.config_file)
        if config is None:
            raise InstantConfigError(
                f"{settings.config_file} is missing, and says what the server keeps of a channel. "
                f"Run “manage.py syncws”."
            )
        if ((config.get("broker") or {}).get("postgres") or {}).get("binary_data"):
            raise InstantConfigError(
                f"broker.postgres.binary_data is on in {settings.config_file}, and publications "
                f"are JSON. Remove it."
            )
        broker = _Broker(config)
        self._broker, self._usable = (settings, broker), set()
        return broker

    def _check_database(self, broker: _Broker, connection: BaseDatabaseWrapper) -> None:
        """Ask once whether the broker is there; a function that is missing would end the commit."""
        if connection.alias in self._usable:
            return
        wrong = None
        if connection.vendor != "postgresql":
            wrong = f"is {connection.vendor}, and the broker is PostgreSQL"
        else:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT to_regclass('instant_broker') IS NULL, to_regclass(%s) IS NULL",
                    [f"{broker.stream}_shard_lock"],
                )
                no_table, no_broker = cursor.fetchone()
            if no_table:
                wrong = "has no table “instant_broker”: run “manage.py migrate”"
            elif no_broker:
                wrong = (
                    f"has no “{broker.stream}_shard_lock”: start the server, which makes its "
                    f'tables, with INSTANT["ENGINE"] naming this database'
                )
        if wrong is not None:
            raise InstantConfigError(f"The database {connection.alias!r} {wrong}.")
        self._usable.add(connection.alias)


def _checked(envelope: Envelope) -> str:
    """Return the payload as text; raise PublishError for what jsonb can't store."""
    if _NOT_IN_JSONB.search(envelope.body):
        raise PublishError(
            "PostgreSQL stores no \\u0000 in JSON: take it out of the payload. Nothing was "
            "published."
        )
    return envelope.body.decode()


def _sent(envelopes: Sequence[Envelope]) -> None:
    """Note that the commit has published them."""
    for envelope in envelopes:
        envelope.mark("sent")
