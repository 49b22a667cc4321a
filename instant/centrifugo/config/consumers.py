"""
The consumer with which the server reads the outbox's table, in its config.

Source: Centrifugo's documentation, "PostgreSQL outbox consumer" (centrifugal.dev).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from instant.centrifugo.config.sections import section, wrong_shape

__all__ = ["CONSUMER", "NOTIFY_CHANNEL", "VIEW", "WITHOUT", "compile_outbox"]

CONSUMER = "instant_outbox"
"""Its name, which is part of the names of the locks that it takes: one a partition."""

WITHOUT = {f"CENTRIFUGO_CONSUMERS_{CONSUMER.upper()}_ENABLED": "false"}
"""The environment of a server that is to leave it out, whatever the config says."""

VIEW = "instant_outbox_ready"
"""What it reads and deletes from: the rows of namespaces that the server knows."""

NOTIFY_CHANNEL = "instant_outbox_partition"
"""Where PostgreSQL tells the number of the partition in which a row was committed."""

_RECOVERY_LIMIT = 10_000
"""
Messages that a page gets after a gap. By default 300: a page that is connected while an outbox
of thousands is worked off would lose what is over that.
"""


def compile_outbox(
    config: Mapping[str, Any], *, is_used: bool, consumer: str | None, partitions: int
) -> dict[str, Any]:
    """
    Return a copy of the config for an outbox: with the consumer that connects to an address.

    Without it if ``consumer`` is None: then a relay sends the rows. Other consumers, and what was
    added to ours by hand, stay. Raises InstantConfigError if ``consumers`` isn't a list of objects.
    """
    result = copy.deepcopy(dict(config))
    listed = result.get("consumers", [])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise wrong_shape("consumers", "a list of objects")
    place = next((i for i, entry in enumerate(listed) if entry.get("name") == CONSUMER), None)
    if is_used:
        section(result, "client").setdefault("recovery_max_publication_limit", _RECOVERY_LIMIT)
    if consumer is None:
        if place is not None:
            del listed[place]
            if not listed:
                del result["consumers"]
        return result
    if place is None:
        place = len(listed)
        listed.append({"name": CONSUMER})
    entry = listed[place]
    entry |= {"enabled": True, "type": "postgresql"}
    section(entry, "postgresql", under=f"consumers.{CONSUMER}").update(
        dsn=consumer,
        outbox_table_name=VIEW,
        num_partitions=partitions,
        partition_notification_channel=NOTIFY_CHANNEL,
    )
    result["consumers"] = listed
    return result
