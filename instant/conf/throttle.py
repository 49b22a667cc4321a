"""How often anything may be: the grammar of rates, and ``INSTANT["THROTTLE"]``, read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings

__all__ = [
    "DEFAULT_LIMITS",
    "Limits",
    "Rate",
    "parse_cache",
    "parse_calls",
    "parse_limits",
    "parse_rate",
]

DEFAULT_LIMITS: Mapping[str, Any] = {
    "PAIR": "10/5m",
    "ADDRESS": "30/5m",
    "NAME": "100/5m",
    "CACHE": "default",
}
"""What holds where ``INSTANT["THROTTLE"]`` says nothing else."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FORM = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,5})?([smhd])")
_MAX_COUNT = 1000
_MAX_SECONDS = 86_400


class Rate(NamedTuple):
    """At most ``times`` in any ``seconds``."""

    times: int
    seconds: int


def parse_rate(text: object) -> Rate:
    """
    Read ``COUNT/[NUMBER]UNIT``: 1 to 1000 in at most a day, the unit one of s, m, h, d.

    Raises ValueError for anything else.
    """
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is not None:
        rate = Rate(int(found[1]), int(found[2] or 1) * _UNITS[found[3]])
        if rate.times <= _MAX_COUNT and rate.seconds <= _MAX_SECONDS:
            return rate
    raise ValueError(
        f"must be like “10/5m”, 1 to {_MAX_COUNT} in at most a day (s, m, h, d), not {text!r}"
    )


def parse_calls(given: object) -> Rate | None:
    """Read ``INSTANT["CALLS"]``: a rate, or None for no limit. Raises ValueError."""
    return None if given is None else parse_rate(given)


def parse_cache(given: object) -> str:
    """Read the alias of a cache. Raises ValueError where ``CACHES`` has none of that name."""
    if not isinstance(given, str) or given not in list(settings.CACHES):
        raise ValueError(f"must be a name in CACHES, not {given!r}")
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``INSTANT["THROTTLE"]``, read; a limit that is None does not hold."""

    pair: Rate | None
    address: Rate | None
    name: Rate | None
    cache: str
    """Alias in ``CACHES``."""


def parse_limits(given: object) -> Limits | None:
    """
    Read ``INSTANT["THROTTLE"]``: a dict of what differs from the default, or None for none.

    Raises ValueError, which names what can't be read.
    """
    if given is None or given is False:
        return None
    if not isinstance(given, Mapping):
        raise ValueError(  # noqa: TRY004  it is a setting's value that is wrong
            f"must be a dict, or None for no limits, not {given!r}"
        )
    unknown = sorted(set(given) - set(DEFAULT_LIMITS), key=str)
    if unknown:
        known = ", ".join(sorted(DEFAULT_LIMITS))
        raise ValueError(f"has the unknown key {unknown[0]!r}. Known are: {known}")
    values = {**DEFAULT_LIMITS, **given}
    rates: dict[str, Rate | None] = {}
    for key in ("PAIR", "ADDRESS", "NAME"):
        try:
            rates[key] = None if values[key] is None else parse_rate(values[key])
        except ValueError as exc:
            raise ValueError(f"is wrong: {key!r} {exc}") from None
    if values["CACHE"] not in list(settings.CACHES):
        raise ValueError(f"is wrong: 'CACHE' must be a name in CACHES, not {values['CACHE']!r}")
    return Limits(
        pair=rates["PAIR"], address=rates["ADDRESS"], name=rates["NAME"], cache=values["CACHE"]
    )
