"""What is kept about a person here: what was written for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instant.personal.part import Part, Person
from instant.streaming import rows, stopping
from instant.streaming.reading import read_part

__all__ = ["PARTS"]


def _theirs(person: Person) -> rows.Streams:
    return rows.own().filter(user=person.pk) if person.user else rows.own().none()


def _export(person: Person) -> Iterator[dict[str, Any]]:
    for stream in _theirs(person).order_by("pk").iterator():
        part = read_part(stream.channel, most=None)
        yield {
            "channel": stream.channel,
            "state": stream.state,
            "created": stream.created_at,
            "ended": stream.ended_at,
            "text": "" if part is None else part.text,
        }


def _erase(person: Person) -> int:
    theirs = _theirs(person)
    stopping.cancel(theirs)  # pages show no more that it is being written
    return rows.remove(theirs, list(theirs.values_list("pk", flat=True)))


PARTS = (
    Part(
        name="streams",
        covers=("Stream.user",),
        export=_export,
        erase=_erase,
        becomes="whoever writes one of them finds that nobody waits",
    ),
)
