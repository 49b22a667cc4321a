"""What is kept about a person here: their tickets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from instant.inbound.tickets import erasing, rows
from instant.personal.part import Part, Person

__all__ = ["PARTS"]

_JSON = ("data", "caller", "progress", "result")


def _export(person: Person) -> Iterator[dict[str, Any]]:
    for ticket in rows.own().filter(owner=person.sub).order_by("created_at").iterator():
        if ticket.owner == person.sub:  # some databases don't tell “a” from “A”
            yield {
                "id": ticket.pk,
                "method": ticket.method,
                "state": ticket.state,
                "created": ticket.created_at,
                "ended": ticket.ended_at,
                "language": ticket.language,
                "message": ticket.message,
                "error": ticket.error,
                **{name: _value(getattr(ticket, name)) for name in _JSON},
            }


def _value(text: str) -> Any:
    return json.loads(text) if text else None


def _erase(person: Person) -> int:
    return erasing.erase([person.sub], is_asked=True)


PARTS = (
    Part(
        name="tickets",
        covers=("Ticket.owner", "Ticket.caller", "Ticket.holder"),
        export=_export,
        erase=_erase,
        becomes="whoever runs one of them finds that nobody waits",
    ),
)
