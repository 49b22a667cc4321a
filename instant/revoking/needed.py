"""Whether anybody's rights depend on anything: nobody who doesn't use them pays for them."""

from __future__ import annotations

import time
from typing import Any

from django.db import router

from instant.models import Channel
from instant.revoking.affected import has_rules
from instant.tenancy import current as tenancy

__all__ = ["any_rows", "channels_changed", "is_needed", "row_found"]

_KEPT = 30.0
"""Seconds for which “there are no rows” is believed: another process may make the first."""

_known: dict[str, tuple[bool, float]] = {}
"""By tenant, whose rows may be in a table of their own."""


def is_needed() -> bool:
    """Tell whether there is a namespace with a rule, or a row of Channel."""
    return has_rules() or any_rows()


def any_rows() -> bool:
    """Tell whether there is a row of Channel; that there are is asked for once."""
    tenant = tenancy.current()
    known, now = _known.get(tenant), time.monotonic()
    if known is not None and (known[0] or now < known[1]):
        return known[0]
    found = Channel.objects.using(router.db_for_write(Channel)).exists()
    _known[tenant] = (found, now + _KEPT)
    return found


def channels_changed(**_kwargs: Any) -> None:
    """Forget it, when this process makes or deletes one."""
    _known.pop(tenancy.current(), None)


def row_found() -> None:
    """Believe no longer that there are none, when somebody gets a token for one."""
    if not any_rows():
        channels_changed()
