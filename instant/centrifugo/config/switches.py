"""Switches in the server's config."""

from __future__ import annotations

from typing import Any

__all__ = ["switched"]


def switched(value: Any) -> Any:
    """Return the value, None for what the server reads as off: it takes texts for switches."""
    return None if value in (0, "", "0", "f", "F", "false", "FALSE", "False") else value
