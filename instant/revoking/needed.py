"""Whether anybody's rights depend on anything: nobody who doesn't use them pays for them."""

from __future__ import annotations

import time
from typing import Any

from django.db import router

from instant.models import Channel
from instant.revoking.affected import has_rules

__all__ = ["any_rows", "channels_changed", "is_needed", "row_found"]

_KEPT = 30.0
"""Seconds for which “there are no rows” is believed: another process may make the first."""

_known: tuple[bool, float] | None = None


def is_needed() -> bool:
    """Tell whether there is a namespace with a rule, or a row of Channel."""
    return has_rules() or any_rows()


def any_rows() -> bool:
    """Tell whether there is a row of Channel; that there are is asked for once."""
    global _known  # noqa: PLW0603  one value per process, replaced whole
    known, now = _known, time.monotonic()
    if known is not None and (known[0] or now < known[1]):
        return known[0]
    found = Channel.objects.using(router.db_for_write(Channel)).exists()
    _known = (found, now + _KEPT)
    return found


def channels_changed(**_kwargs: Any) -> None:
    """Forget it, when this process makes or deletes one."""
    global _known  # noqa: PLW0603  see any_rows()
    _known = None


def row_found() -> None:
    """Believe no longer that there are none, when somebody gets a token for one."""
    if not any_rows():
        channels_changed()
