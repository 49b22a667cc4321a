"""How long a channel's messages are stored, and who says so."""

from __future__ import annotations

from typing import NamedTuple

from instant import conf, namespaces
from instant.conf.store import DEFAULT_STORE
from instant.exceptions import InstantConfigError
from instant.namespaces import Namespace
from instant.stored import note

__all__ = [
    "REQUESTS",
    "RESPONSES",
    "Effective",
    "are_rows_asked",
    "is_used",
    "of_namespace",
    "of_row",
]


REQUESTS, RESPONSES = "requests", "responses"
"""The roles that channels and messages have besides."""


class Effective(NamedTuple):
    """A rule, and why it is in force."""

    rule: str
    """One of ``instant.deliveries.RULES``."""
    why: str
    """Where it stands: the channel, the namespace, or a key of ``INSTANT["STORE"]``."""

    @property
    def stores(self) -> bool:
        """Whether messages are stored at all."""
        return self.rule != "disabled"


def is_used() -> bool:
    """Tell whether a publication may have to be stored: one look at namespaces and settings."""
    if note.current().never:
        return False
    return (
        any(cls.delivery.rule != "disabled" for cls in namespaces._registry)  # noqa: SLF001  no copy
        or are_rows_asked()
        or note.current().always
    )


def are_rows_asked() -> bool:
    """Tell whether rows may be stored; no error: a wrong setting is told by whatever sends."""
    try:
        return conf.current().store is not None
    except InstantConfigError:
        return False


def of_namespace(cls: type[Namespace]) -> Effective:
    """Return the rule of a namespace's channels."""
    return Effective(cls.delivery.rule, f"{cls.__qualname__}.delivery")


def of_row(own: str, *, role: str = "messages") -> Effective:
    """
    Return the rule of a channel's row whose own setting is given, “” for none.

    ``role`` is REQUESTS for a channel to which requests go, RESPONSES for one on which they are
    answered.
    """
    store = conf.current().store
    if store is None:
        return Effective("disabled", "INSTANT['STORE'] isn't set")
    if own:
        return Effective(own, "the channel")
    special = getattr(store, role) if role != "messages" else None
    if special is not None:
        return Effective(special, f"INSTANT['STORE'][{role.upper()!r}]")
    is_default = store.messages == DEFAULT_STORE["MESSAGES"]
    return Effective(
        store.messages, "the default" if is_default else "INSTANT['STORE']['MESSAGES']"
    )
