"""What is kept about a person here: publications to their own channel that are rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from instant.channels.names import USER_NAMESPACE
from instant.personal.part import Part, Person
from instant.publishing.outbox import erasing

__all__ = ["PARTS"]


def _channel(person: Person) -> str:
    return f"{USER_NAMESPACE}:{person.sub}"


def _export(person: Person) -> Iterator[dict[str, Any]]:
    for row in erasing.rows_to([_channel(person)]):
        yield {
            "id": row.pk,
            "created": row.created_at,
            "sent": row.sent_at,
            "error": row.error,
            "payload": json.loads(row.payload).get("data"),
        }


def _erase(person: Person) -> int:
    names = [_channel(person)]
    count = sum(1 for _ in erasing.rows_to(names))
    erasing.erase(names, is_asked=True)
    return count


PARTS = (
    Part(
        name="outbox",
        covers=("OutboxRow.payload",),
        export=_export,
        erase=_erase,
        becomes="what waits for them is sent no more",
    ),
)
