"""``rate="20/m"``: so many calls in any period, exactly, for each caller."""

from __future__ import annotations

import inspect
import logging

from django.core.cache import caches

from instant import conf
from instant.conf.throttle import parse_rate
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.limiter import Full, Limit
from instant.inbound.policies.base import Policy, Proceed, Steps
from instant.inbound.policies.keys import Per, caller, key_of
from instant.inbound.registry import Handler

__all__ = ["RateLimit", "too_many"]

logger = logging.getLogger("instant.handlers")


class RateLimit(Policy):
    """
    Lets so many calls of one handler through, and refuses others with 429 and the wait.

    ``per`` is ``"user"``, ``"client"`` (a connection), ``"address"``, or a function from the call
    to what is counted together; where it returns None, the call isn't counted. A cache that fails
    is logged, and nothing is limited.
    """

    uses_cache = True

    def __init__(self, rate: str, per: Per = "user") -> None:
        try:
            self.rate = parse_rate(rate)
        except ValueError as exc:
            raise ValueError(f"A handler's rate {exc}.") from None
        if not callable(per) and per not in ("user", "client", "address"):
            raise ValueError(
                f"A handler's per is “user”, “client”, “address” or a function, not {per!r}."
            )
        self.uses_address = per == "address" or callable(per)  # which may look at it
        self.text = rate
        self.per = per

    def around(self, call: Call, handler: Handler) -> Steps:
        """Take a slot, or refuse."""
        self._count(call, handler)
        return (yield Proceed())

    def _count(self, call: Call, handler: Handler) -> None:
        if callable(self.per):
            value = self.per(call)
            if value is None:
                return
            who = f"key {value}"
        else:
            who = caller(call, self.per)
        alias, key = conf.current().cache, key_of("rate", handler.kind, handler.name, who)
        try:
            Limit(caches[alias], key, self.rate).take()
        except Full as exc:
            raise too_many(exc.retry_after) from None
        except Exception:
            logger.exception("The cache failed: calls of %s are not limited.", handler.name)

    def problems(self, handler: Handler) -> list[str]:  # noqa: ARG002  Policy's
        """Return why it can't count."""
        if inspect.iscoroutinefunction(self.per):
            return ["per= is an async function; it has to be one that isn't."]
        return []

    def __str__(self) -> str:
        """Say rate and key."""
        return f"rate={self.text} per {self.per if isinstance(self.per, str) else 'key'}"


def too_many(seconds: int) -> Refused:
    """Return the refusal that says how long to wait."""
    return Refused(
        429, f"too many calls; try again in {seconds} s", temporary=True, retry_after=seconds
    )
