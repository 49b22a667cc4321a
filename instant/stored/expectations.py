"""What assertions of a project's tests are given: what is compared, and how often it has to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

__all__ = ["ANY", "all_of", "first_of", "given", "listing"]

_T = TypeVar("_T")


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "ANY"


ANY: Any = _Any()
"""What is not given to an assertion, and so not compared."""


def given(**values: Any) -> dict[str, Any]:
    """Return what was given to an assertion."""
    return {name: value for name, value in values.items() if value is not ANY}


def first_of(found: Sequence[_T], count: int | None, what: str, listed: str) -> _T:
    """Return the first; raise AssertionError where there is none, or are not ``count``."""
    if found and count in {None, len(found)}:
        return found[0]
    raise AssertionError(f"Not {what}{_times(found, count)}.\n{listed}")


def all_of(found: Sequence[_T], count: int | None, what: str, listed: str) -> Sequence[_T]:
    """Return them; raise AssertionError where there are none, or not ``count``, which may be 0."""
    if (count is None and found) or len(found) == count:
        return found
    raise AssertionError(f"Not {what}{_times(found, count)}.\n{listed}")


def listing(title: str, lines: Iterable[str]) -> str:
    """Return what there is, a line for each."""
    return "\n".join([title, *([f"  {line}" for line in lines] or ["  nothing"])])


def _times(found: Sequence[Any], count: int | None) -> str:
    return "" if count is None else f", {count} times, but {len(found)} times"
