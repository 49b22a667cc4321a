"""Rights that may have ended: whom and what to look at again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Loss"]


@dataclass(slots=True)
class Loss:
    """
    What a change may have taken away. Users are given as their tokens name them (``sub``).

    It says where to look, not what was lost: that is asked when it is enforced, so that a
    right which is given back in time costs nobody their connection.
    """

    channels: set[str] = field(default_factory=set)
    """Everybody who is subscribed to these; ``order:*`` is every channel of a namespace."""
    subscriptions: dict[str, set[str]] = field(default_factory=dict)
    """User → the channels that this user may have lost."""
    reconnects: set[str] = field(default_factory=set)
    """Users for whom everything has to be asked again."""
    disconnects: set[str] = field(default_factory=set)
    """Users who are no more: deleted, or deactivated."""
    permissions: dict[str, set[str]] = field(default_factory=dict)
    """Primary key of a Permission → users who may have it no more."""

    def __bool__(self) -> bool:
        return self != Loss()

    def add(self, other: Loss) -> None:
        """Take in another one."""
        self.channels |= other.channels
        self.reconnects |= other.reconnects
        self.disconnects |= other.disconnects
        for user, names in other.subscriptions.items():
            self.subscriptions.setdefault(user, set()).update(names)
        for permission, users in other.permissions.items():
            self.permissions.setdefault(permission, set()).update(users)

    def as_json(self) -> dict[str, Any]:
        """Return it as a row stores it: lists, sorted, and nothing that is empty."""
        found: dict[str, Any] = {
            "channels": sorted(self.channels),
            "subscriptions": {user: sorted(n) for user, n in sorted(self.subscriptions.items())},
            "reconnects": sorted(self.reconnects),
            "disconnects": sorted(self.disconnects),
            "permissions": {key: sorted(users) for key, users in sorted(self.permissions.items())},
        }
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Loss:
        """Read what as_json() returned."""
        subscriptions = stored.get("subscriptions", {}).items()
        permissions = stored.get("permissions", {}).items()
        return cls(
            channels=set(stored.get("channels", ())),
            subscriptions={user: set(names) for user, names in subscriptions},
            reconnects=set(stored.get("reconnects", ())),
            disconnects=set(stored.get("disconnects", ())),
            permissions={key: set(users) for key, users in permissions},
        )

    @classmethod
    def of_all(cls, losses: Iterable[Loss]) -> Loss:
        """Return them in one."""
        found = cls()
        for loss in losses:
            found.add(loss)
        return found
