"""
The parts of what is kept about a person: each room that keeps some has a module with ``PARTS``.

Whoever adds a table that names users adds its part to that module, or the module to this list.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from instant.personal.part import Part

__all__ = ["MODULES", "parts"]

MODULES = (
    "instant.rights.personal",
    "instant.stored.push.personal",
    "instant.stored.notifications.personal",
    "instant.streaming.personal",
    "instant.stored.personal",
    "instant.publishing.outbox.personal",
    "instant.inbound.tickets.personal",
    "instant.pages.lists.personal",
    "instant.revoking.personal",
)
"""In the order in which they are erased: what tells whose something is goes last."""


def parts() -> Sequence[Part]:
    """Return all parts, in that order."""
    return [part for module in MODULES for part in import_module(module).PARTS]
