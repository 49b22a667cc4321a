"""
The namespaces that the running server knows, noted in the database for its consumer.

Centrifugo's consumer deletes a row whose namespace isn't in the server's config, as it does with
all that the server refuses. So it reads a view that has only rows of noted namespaces; those of
others wait until somebody has asked the server and notes it. Only on PostgreSQL.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api.client import Client
from instant.centrifugo.api.commands import NodeCount, Position
from instant.centrifugo.api.nodes import Nodes, Partial
from instant.centrifugo.config.consumers import NOTIFY_CHANNEL
from instant.exceptions import PublishError, UnknownNamespace
from instant.models import OutboxRow

__all__ = [
    "AGAIN",
    "NamespaceWatch",
    "ask",
    "confirm",
    "confirm_now",
    "database",
    "forget_others",
    "in_config",
    "move_to_lanes",
]

logger = logging.getLogger("instant.outbox")

TABLE = "instant_outbox_known"

AGAIN = 2.0
"""Seconds between two looks for rows that wait."""

_NOTE = f"INSERT INTO {TABLE} (namespace) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
_FORGET_OTHERS = f"DELETE FROM {TABLE} WHERE namespace <> '' AND namespace <> ALL(%s::text[])"  # noqa: S608
_WAITING = f"""
SELECT namespace FROM (
    SELECT namespace FROM instant_outbox WHERE partition >= 0 UNION SELECT unnest(%s::text[])
) AS wanted
WHERE namespace NOT IN (SELECT namespace FROM {TABLE})
"""  # noqa: S608
_WAKE = f"""
SELECT pg_notify('{NOTIFY_CHANNEL}', partition::text) FROM (
    SELECT DISTINCT partition FROM instant_outbox
    WHERE partition >= 0 AND namespace = ANY(%s::text[])
) AS due
"""  # noqa: S608

_MOVE = f"""
WITH moved AS (
    UPDATE instant_outbox SET partition = partition %% %s WHERE partition >= %s RETURNING partition
)
SELECT pg_notify('{NOTIFY_CHANNEL}', partition::text)
FROM (SELECT DISTINCT partition FROM moved) AS due
"""  # noqa: S608


def in_config(config: Mapping[str, Any]) -> set[str]:
    """Return the namespaces that a server knows which starts with this config."""
    channel = config.get("channel")
    listed = channel.get("namespaces") if isinstance(channel, Mapping) else None
    return {str(entry["name"]) for entry in listed or () if "name" in entry}


def database() -> BaseDatabaseWrapper:
    """Return the connection to the database that the consumer reads."""
    return connections[router.db_for_write(OutboxRow)]


def forget_others(connection: BaseDatabaseWrapper, names: Collection[str]) -> None:
    """Let rows of all other namespaces wait: for a server whose config will have these only."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_OTHERS, [sorted(names)])


def ask(server: Client | Nodes, names: Iterable[str], timeout: float) -> set[str]:
    """
    Return which of the namespaces the running server knows, which is all nodes that are given.

    Raises a PublishError if it, or a node that it counts, can't be asked.
    """
    listed = sorted(names)
    # The last one has no error of its own, and so tells whether a node is missing.
    *replies, count = server.run([*(Position(f"{n}:") for n in listed), NodeCount()], timeout)
    if isinstance(count, Partial):
        raise count.error
    # Any other error (no history, for one) is about a channel that it knows.
    return {
        name
        for name, reply in zip(listed, replies, strict=True)
        if not isinstance(reply, UnknownNamespace)
    }


def confirm(
    connection: BaseDatabaseWrapper,
    server: Client | Nodes,
    timeout: float,
    *,
    also: Collection[str] = (),
) -> set[str]:
    """
    Ask the server about namespaces whose rows wait, and about others; note those that it knows.

    Returns those that it doesn't know. Raises a PublishError if it can't be asked.
    """
    names = _not_noted(connection, also)
    known = ask(server, names, timeout) if names else set()
    if known:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(_NOTE, [sorted(known)])
            cursor.execute(_WAKE, [sorted(known)])
    return names - known


def _not_noted(connection: BaseDatabaseWrapper, also: Collection[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [sorted(also)])
        return {name for (name,) in cursor.fetchall()}


def confirm_now(also: Collection[str] = ()) -> set[str]:
    """
    Confirm with the backend's server; see confirm().

    Each node has a consumer, and any of them may get a row: all that the settings name are asked.
    """
    client, settings = get_backend().client(), conf.current()
    if client is None:
        return set()
    if settings.engine is None or not settings.engine.nodes:
        return confirm(database(), client, settings.timeout, also=also)
    nodes = client.at_each(settings.engine.nodes)
    try:
        return confirm(database(), nodes, settings.timeout, also=also)
    finally:
        nodes.close()


def move_to_lanes(connection: BaseDatabaseWrapper, lanes: int) -> None:
    """Put rows where the consumer reads that are in lanes which ``OUTBOX_PARTITIONS`` had."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [lanes, lanes])


class NamespaceWatch:
    """
    Notes namespaces as soon as the server knows them, each time that look() is called.

    And moves rows that it would never read, see move_to_lanes().
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def look(self) -> float | None:
        """Ask about what waits; return the seconds until something may have changed."""
        move_to_lanes(database(), conf.current().outbox_partitions)
        try:
            unknown = confirm_now()
        except PublishError as exc:
            logger.debug("The server could not be asked which namespaces it knows: %s", exc)
            return AGAIN
        if new := unknown - self._told:
            logger.error(
                "Publications to %s wait in the outbox: the server's config doesn't have it. "
                "Run “manage.py syncws --reload”, or delete them in the admin if the name is "
                "wrong.",
                ", ".join(f"the namespace “{name}”" for name in sorted(new)),
            )
        self._told = unknown
        return AGAIN
