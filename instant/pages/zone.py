"""The time zone of a page, by the name that Django has for it."""

from __future__ import annotations

import re
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone

__all__ = ["zone_named"]

_FIXED = re.compile(r"([+-])(\d\d)(\d\d)")
"""What get_fixed_timezone() calls one."""


def zone_named(name: str) -> tzinfo | None:
    """Return the time zone; None for no name, and for a zone of the project's own."""
    fixed = _FIXED.fullmatch(name)
    if fixed is not None:
        minutes = 60 * int(fixed[2]) + int(fixed[3])
        return timezone.get_fixed_timezone(-minutes if fixed[1] == "-" else minutes)
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None
