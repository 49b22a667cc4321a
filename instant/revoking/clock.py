"""How far the server's clock is behind ours: by so much longer it takes old tokens."""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import parsedate_to_datetime

from django.utils import timezone

from instant import conf

__all__ = ["behind", "measure"]

_EVERY = 300.0
_LONGEST = timedelta(hours=1)
"""A clock that is further behind isn't believed: tokens can't be used by it anyway."""

_measured: tuple[timedelta, float] | None = None


def behind() -> timedelta:
    """Return how far the server's clock was behind when it was measured last."""
    return _measured[0] if _measured is not None else timedelta(0)


def measure() -> None:
    """
    Ask for the server's time, every five minutes; by whoever looks, never in a request.

    Its answers have a ``Date``, in whole seconds. What can't be measured is as it was before.
    """
    global _measured  # noqa: PLW0603  one value per process, replaced whole
    if _measured is None or time.monotonic() >= _measured[1]:
        found = _measure()
        _measured = (behind() if found is None else found, time.monotonic() + _EVERY)


def _measure() -> timedelta | None:
    import requests  # noqa: PLC0415  0.1 s, for the looker alone

    try:
        settings = conf.current()
        answer = requests.head(settings.api_url, timeout=settings.timeout, allow_redirects=False)
        theirs = parsedate_to_datetime(answer.headers["Date"])
        ours = timezone.now()
        found = (ours - theirs) if theirs.tzinfo else timedelta(0)
    except Exception:  # noqa: BLE001  a server that is away has no clock
        return None
    # Less than a second is what the header leaves out.
    return min(max(found - timedelta(seconds=1), timedelta(0)), _LONGEST)
