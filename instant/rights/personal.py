"""What is kept about a person here: the rows of ``Channel`` that list them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import router, transaction
from django.db.models import QuerySet

from instant.models import Channel
from instant.personal.part import Part, Person

__all__ = ["PARTS"]

_LISTS: Mapping[str, str] = {
    "subscribe": "members",
    "publish": "publishers",
    "status": "status_viewers",
}
"""By right the field with the users who are listed."""


def _rows(person: Person, field: str) -> QuerySet[Channel]:
    manager = Channel._base_manager.using(router.db_for_write(Channel))  # noqa: SLF001
    return manager.filter(**{field: person.pk}).order_by("name") if person.user else manager.none()


def _export(person: Person) -> Iterator[dict[str, Any]]:
    for right, field in _LISTS.items():
        for name in _rows(person, field).values_list("name", flat=True):
            yield {"channel": name, "right": right}


def _erase(person: Person) -> int:
    """Take them off the lists; open pages are unsubscribed."""
    count = 0
    with transaction.atomic(using=router.db_for_write(Channel)):
        for field in _LISTS.values():
            for channel in _rows(person, field):
                getattr(channel, field).remove(person.user)
                count += 1
    return count


PARTS = (
    Part(
        name="channels",
        covers=tuple(f"Channel.{field}" for field in _LISTS.values()),
        export=_export,
        erase=_erase,
        becomes="they lose the rights that these lists gave them",
    ),
)
