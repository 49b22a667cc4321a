"""
The outbox: publications that are rows of the transaction they tell about.

Whatever drains it sends them after the commit: a relay of ours, or Centrifugo itself.
"""

from __future__ import annotations

from instant import conf
from instant.backends import get_backend
from instant.exceptions import InstantConfigError

__all__ = ["consumer", "drained_by", "is_used"]


def drained_by() -> str | None:
    """Return what somebody else reads the rows by; None where a relay of ours sends them."""
    return conf.current().outbox_consumer


def consumer() -> str | None:
    """Return the PostgreSQL that Centrifugo's consumer connects to; None if it doesn't."""
    address = drained_by()
    is_postgres = address is not None and address.startswith(("postgres://", "postgresql://"))
    return address if is_postgres and is_used() else None


def is_used() -> bool:
    """Tell whether publish() writes rows."""
    try:
        return get_backend().is_relayed
    except InstantConfigError:  # a check tells
        return False
