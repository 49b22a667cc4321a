"""What is kept about a person here: that rights of theirs ended a moment ago."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instant.models import Revocation
from instant.personal.part import Part, Person
from instant.revoking import ledger
from instant.revoking.affected import Affected
from instant.tenancy import current as tenancy

__all__ = ["PARTS"]


def _export(person: Person) -> Iterator[dict[str, Any]]:
    rows = Revocation._base_manager.using(ledger.database())  # noqa: SLF001
    for row in rows.order_by("pk").iterator():
        if ledger.tenant_of(row) == tenancy.current() and _names(row, person.sub):
            affected = Affected.from_json(row.loss)
            yield {
                "created": row.created_at,
                "due": row.due_at,
                "channels": sorted(affected.subscriptions.get(person.sub, ())),
            }


def _names(row: Revocation, sub: str) -> bool:
    affected = Affected.from_json(row.loss)
    named = affected.reconnects | affected.disconnects | affected.sessions
    return (
        sub in named
        or sub in affected.subscriptions
        or any(sub in users for users in affected.permissions.values())
    )


PARTS = (
    Part(
        name="revocations",
        covers=("Revocation.loss",),
        export=_export,
        becomes="they keep old tokens from being used, and go by themselves within a minute",
    ),
)
