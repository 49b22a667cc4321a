"""
The outbox: publications that are rows of the transaction they tell about.

Whatever drains it sends them after the commit: a relay of ours, or Centrifugo itself.
"""

from __future__ import annotations

from instant import conf
from instant.backends import get_backend
from instant.exceptions import InstantConfigError

__all__ = ["drained_by", "is_used"]


def drained_by() -> str | None:
    """Return what Centrifugo's consumer connects to; None where a relay of ours sends rows."""
    return conf.current().outbox_consumer


def is_used() -> bool:
    """Tell whether publish() writes rows."""
    try:
        return get_backend().transactional
    except InstantConfigError:  # a check tells
        return False
