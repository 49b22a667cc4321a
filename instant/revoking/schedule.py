"""When a check is due: the follow-up, the next attempt, and the last."""

from __future__ import annotations

from datetime import datetime, timedelta

from instant import conf
from instant.centrifugo.config import proxies
from instant.centrifugo.config.file import read_config
from instant.exceptions import InstantConfigError
from instant.models import Revocation
from instant.namespaces import registered
from instant.revoking.affected import Affected

__all__ = ["MARGIN", "has_expired", "until_follow_up", "until_next_attempt"]

MARGIN = timedelta(seconds=2)
"""
Added to the life of tokens, which counts in whole seconds, as does the server's ``Date``.

So far the clocks of the hosts that run Django may differ, too; how far the server's is behind
is measured, see ``clock``.
"""

_ON_ITS_WAY = timedelta(seconds=proxies.TIMEOUT + 1)
"""
Until then the server has taken every yes that Django gave before the commit.

One that is on its way is not in presence yet. Where a user is named the server sees to it.
"""

_LONGEST_PAUSE = 60


def until_follow_up(affected: Affected) -> timedelta:
    """Return how long after the commit no token from before it can be used."""
    if _is_asked(affected):
        return _ON_ITS_WAY
    return timedelta(seconds=conf.current().token_use) + MARGIN


def until_next_attempt(row: Revocation) -> timedelta:
    """Return the pause after a check that failed: ever longer."""
    return timedelta(seconds=min(2 ** min(row.attempts, 6), _LONGEST_PAUSE))


def has_expired(row: Revocation, now: datetime) -> bool:
    """Tell whether all that old tokens can have opened has expired by itself."""
    settings = conf.current()
    life = timedelta(seconds=settings.token_use + 1.1 * settings.token_life)
    return now >= row.created_at + life + MARGIN


def _is_asked(affected: Affected) -> bool:
    """Tell whether the server asks Django for all that was lost, so that no token is about."""
    if not affected.channels or affected != Affected(channels=affected.channels):
        return False
    asked = {cls.name for cls in registered() if cls.authorize == "proxy"}
    if not {name.partition(":")[0] for name in affected.channels} <= asked:
        return False
    try:
        return proxies.keeps_timeout(read_config(conf.current().config_file) or {})
    except InstantConfigError:
        return False
