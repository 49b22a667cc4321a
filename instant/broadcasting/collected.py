"""A block of code that tells everything together at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from instant.broadcasting.change import merged
from instant.broadcasting.sending import hand_on
from instant.broadcasting.units import opened

__all__ = ["collected"]


@contextmanager
def collected() -> Iterator[None]:
    """
    Let models broadcast at the end of the block, one message an object.

    For work that saves an object again and again, in one transaction or in several. What is
    inside a transaction that began in the block waits for that one's commit first. A block that
    raises tells what was done until then, but for what was rolled back.
    """
    found = None
    try:
        with opened() as found:
            yield
    finally:
        if found is not None:
            for alias, changes in found.changes.items():
                hand_on(connections[alias], merged(changes))
            for (alias, take), things in found.others.items():
                take(connections[alias], things)
