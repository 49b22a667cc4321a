"""What is kept about a person here: which lists pages have given them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instant.pages.lists import registry
from instant.pages.lists.model import LiveListReader
from instant.personal.part import Part, Person

__all__ = ["PARTS"]


def _export(person: Person) -> Iterator[dict[str, Any]]:
    readers = LiveListReader._base_manager.using(registry.own().db)  # noqa: SLF001
    rows = readers.filter(list__in=registry.own(), sub=person.sub).order_by("pk")
    for model, until in rows.values_list("list__model", "expires_at"):
        yield {"model": model, "until": until}


def _erase(person: Person) -> int:
    return registry.forget_users([person.sub])


PARTS = (
    Part(
        name="lists",
        covers=("LiveListReader.sub",),
        export=_export,
        erase=_erase,
        becomes="their pages ask for the lists anew",
    ),
)
