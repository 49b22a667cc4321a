"""How often something may happen: ``"10/5m"``."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Rate", "parse_rate"]

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
