"""What became of an object, and what of several changes is told in the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from instant.broadcasting.declaration import Declaration

__all__ = ["Change", "merged"]


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One change of one object."""

    declaration: Declaration
    key: tuple[type, Any, str]
    """Model, primary key and database: which object it is."""
    event: str
    before: tuple[str, ...]
    """The channels that it was in; none where it is new."""
    channels: tuple[str, ...]
    """The channels that it is in; none where it is deleted."""
    data: Any
    """What is sent: a dict, or where a function makes it, a copy of the instance."""
    tenant: str

    @property
    def left(self) -> tuple[str, ...]:
        """The channels that it is in no longer."""
        return tuple(name for name in self.before if name not in self.channels)


_TOGETHER = {
    ("created", "created"): "created",
    ("created", "updated"): "created",
    ("created", "deleted"): "",
    ("updated", "created"): "updated",
    ("updated", "updated"): "updated",
    ("updated", "deleted"): "deleted",
    ("deleted", "created"): "updated",
    ("deleted", "updated"): "updated",
    ("deleted", "deleted"): "deleted",
    ("", "created"): "created",
    ("", "updated"): "created",
    ("", "deleted"): "",
}
"""What two events are together; ``""`` where nobody needs to know of either."""


def merged(changes: Iterable[Change]) -> Sequence[Change]:
    """Return one change an object, in the order of the last ones, each as it is in the end."""
    found: dict[tuple[type, Any, str], Change] = {}
    for change in changes:
        earlier = found.pop(change.key, None)
        if earlier is not None:
            event = _TOGETHER[earlier.event, change.event]
            change = replace(change, event=event, before=earlier.before)  # noqa: PLW2901
        found[change.key] = change
    return [change for change in found.values() if change.event]
