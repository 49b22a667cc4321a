"""What is kept about a person here: the browsers in which they want to be notified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instant.personal.part import Part, Person
from instant.stored.push.subscriptions import Subscriptions, own

__all__ = ["PARTS"]


def _theirs(person: Person) -> Subscriptions:
    found = own()
    return found.filter(user=person.pk).order_by("pk") if person.user else found.none()


def _export(person: Person) -> Iterator[dict[str, Any]]:
    for row in _theirs(person).values("endpoint", "created_at", "renewed_at", "expires_at"):
        yield {**row}


def _erase(person: Person) -> int:
    gone = _theirs(person)
    count = gone.count()
    gone.delete()  # with what waits to be pushed there
    return count


PARTS = (
    Part(
        name="push_subscriptions",
        covers=("PushSubscription.user",),
        export=_export,
        erase=_erase,
    ),
)
