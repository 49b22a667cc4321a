"""What Python receives of a publication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One publication, as a page gets it."""

    channel: str
    payload: Any = field(repr=False)
    """
    What was published: for ``publish()`` an object with channel, site, message, data and so on.

    What a page has published by itself is any JSON.
    """
    offset: int | None = None
    """Its place in the history of the channel; None where there is none."""
    epoch: str = ""
    """Which history that is."""
    after_gap: bool = False
    """Whether messages before it are lost: the server no longer had them when we came back."""
    tenant: str = ""

    @property
    def data(self) -> Any:
        """The ``data`` that was given to ``publish()``."""
        return self._get("data")

    @property
    def message(self) -> Any:
        """The ``message`` that was given to ``publish()``."""
        return self._get("message")

    @property
    def event_class(self) -> str:
        """The ``event_class`` that was given to ``publish()``; ``""`` for none."""
        return str(self._get("event_class") or "")

    @property
    def id(self) -> str:
        """The publication's id: the same where one comes twice; ``""`` for a page's own."""
        return str(self._get("id") or "")

    def _get(self, key: str) -> Any:
        return self.payload.get(key) if isinstance(self.payload, Mapping) else None
