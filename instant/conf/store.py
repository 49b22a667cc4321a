"""What is stored of channels that say nothing of it: ``INSTANT["STORE"]``, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instant.deliveries import RULES

__all__ = ["DEFAULT_STORE", "Store", "parse_store"]

DEFAULT_STORE: Mapping[str, Any] = {
    "MESSAGES": "disabled",
    "REQUESTS": None,
    "RESPONSES": None,
    "CREATE": False,
    "MAX_AGE": None,
    "MAX_COUNT": None,
}
"""What holds where ``INSTANT["STORE"]`` says nothing else."""

_MOST = {"MAX_AGE": 100 * 366 * 86_400, "MAX_COUNT": 2**31}


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """``INSTANT["STORE"]``, read. The rules are those of ``instant.deliveries.Stored``."""

    messages: str
    """The rule for channels that have none of their own."""
    requests: str | None
    """For channels to which requests go; None: as ``messages``."""
    responses: str | None
    """For channels on which they are answered; None: as ``messages``."""
    create: bool
    """Whether a message to a channel that isn't there makes it, for users who may add channels."""
    max_age: int | None
    """Seconds after which a message is deleted, whoever has acknowledged it."""
    max_count: int | None
    """How many messages of a channel are kept, whoever has acknowledged the others."""


def parse_store(given: object) -> Store | None:
    """Read ``INSTANT["STORE"]``: None, or what differs from the default. Raises ValueError."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ValueError(f"must be a dict or None, not {given!r}")  # noqa: TRY004  a setting's value
    unknown = sorted(set(given) - set(DEFAULT_STORE), key=str)
    if unknown:
        known = ", ".join(sorted(DEFAULT_STORE))
        raise ValueError(f"has the unknown key {unknown[0]!r}. Known are: {known}")
    values = {**DEFAULT_STORE, **given}
    for key in ("MESSAGES", "REQUESTS", "RESPONSES"):
        rules = RULES if key == "MESSAGES" else (None, *RULES)
        if values[key] not in rules:
            listed = ", ".join(map(repr, rules))
            raise ValueError(f"is wrong: {key!r} must be one of {listed}, not {values[key]!r}")
    if not isinstance(values["CREATE"], bool):
        wrong = repr(values["CREATE"])
        raise ValueError(f"is wrong: 'CREATE' must be True or False, not {wrong}")  # noqa: TRY004
    for key, most in _MOST.items():
        number = values[key]
        if number is None:
            continue
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= most:
            raise ValueError(
                f"is wrong: {key!r} must be None or a whole number above 0, not {number!r}"
            )
    return Store(**{key.lower(): value for key, value in values.items()})
