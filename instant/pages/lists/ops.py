"""What makes one order of keys from another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import Any

__all__ = ["difference"]

Op = dict[str, Any]


def difference(
    before: Sequence[str], now: Sequence[str], changed: Collection[str] = ()
) -> list[Op]:
    """
    Return what makes ``now`` from ``before``, in the order in which it is to be done.

    ``leave`` a key, ``enter`` or ``move`` one before another (None: to the end), and ``change``
    for those of ``changed`` that stay where they are. Each ``before`` stands in its final place
    already when its turn comes.
    """
    there, wanted = set(before), set(now)
    ops: list[Op] = [{"op": "leave", "key": key} for key in before if key not in wanted]
    moved = _moved(
        [key for key in before if key in wanted], [key for key in now if key in there], changed
    )
    following: str | None = None
    for key in reversed(now):
        if key not in there:
            ops.append({"op": "enter", "key": key, "before": following})
        elif key in moved:
            ops.append({"op": "move", "key": key, "before": following})
        elif key in changed:
            ops.append({"op": "change", "key": key})
        following = key
    return ops


def _moved(before: Sequence[str], now: Sequence[str], changed: Collection[str]) -> set[str]:
    """Return keys without which both have the same order: the changed ones, if that is enough."""
    if before == now:
        return set()
    rest = [key for key in before if key not in changed]
    if rest == [key for key in now if key not in changed]:
        return {key for key in now if key in changed}
    place = {key: number for number, key in enumerate(before)}
    stays = _increasing([place[key] for key in now])
    return {key for number, key in enumerate(now) if number not in stays}


def _increasing(numbers: Sequence[int]) -> set[int]:
    """Return the places of a longest increasing part of the numbers (patience sorting)."""
    tails: list[int] = []
    places: list[int] = []
    previous: list[int] = []
    for place, number in enumerate(numbers):
        at = bisect_left(tails, number)
        previous.append(places[at - 1] if at else -1)
        if at == len(tails):
            tails.append(number)
            places.append(place)
        else:
            tails[at], places[at] = number, place
    found: set[int] = set()
    place = places[-1] if places else -1
    while place >= 0:
        found.add(place)
        place = previous[place]
    return found
