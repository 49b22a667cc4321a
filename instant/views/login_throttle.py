"""
How often a login may fail, counted in Django's cache.

Three limits, each of failures in any period of its length:

========= ==========================================================================
``PAIR``    of one user name from one address
``ADDRESS`` of one address, whatever the names
``NAME``    of one user name from all addresses, but those where it has logged in
========= ==========================================================================

``NAME`` stops the many addresses of a botnet. Alone it would let anybody lock somebody out,
so it does not hold for an address from which the user has logged in within two weeks.

A user name is one tenant's: another's user of that name has limits of their own. An address has
one for all tenants.

A failure takes one of so many slots, see ``instant.inbound.limiter``; where none is free,
nothing is asked of ``authenticate()``. Slots are taken *before* the password is checked and
given back when it was right, so that a hundred attempts at the same moment find no more slots
than one after the other.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache as once

from django.core.cache import BaseCache, caches

from instant.conf.throttle import Limits
from instant.inbound.limiter import Full, Limit, cache_key
from instant.rights.client_address import Address
from instant.tenancy import current as tenancy

__all__ = ["Attempt", "TooManyFailures", "attempt"]

logger = logging.getLogger("instant.throttles")

_KNOWN_SECONDS = 14 * 86_400
"""How long an address stays known after a login; Django's sessions last as long."""

_MAX_NAME = 1000
"""Characters of a user name that count: normalising a longer one is work for an attacker."""


class TooManyFailures(Exception):
    """The limit is reached; ``retry_after`` is in how many seconds an attempt is free."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many failed logins. Try again in {retry_after} seconds.")
        self.retry_after = retry_after


@contextmanager
def attempt(limits: Limits | None, address: Address, name: str) -> Iterator[Attempt]:
    """
    Hold the body of a ``with`` for an attempt that fails unless succeeded() was called.

    Raises TooManyFailures, and the body does not run, where a limit is reached. An exception
    in the body counts as no attempt at all.
    """
    tried = Attempt(limits, address, name)
    tried.begin()
    try:
        yield tried
    except BaseException:
        tried.give_back()
        raise


@dataclass(slots=True)
class Attempt:
    """One attempt to log in. A cache that fails is logged, and the login goes on."""

    limits: Limits | None
    address: Address
    name: str
    _taken: list[str] = field(default_factory=list, init=False)
    _pair: Limit | None = field(default=None, init=False)

    def begin(self) -> None:
        """Take a slot of each limit, or raise TooManyFailures and take none."""
        if self.limits is None:
            return
        try:
            for limit in self._limits(caches[self.limits.cache]):
                self._taken.append(limit.take())
        except Full as exc:
            self.give_back()
            logger.warning(
                "A login from %s is refused for %d s: too many failed.",
                self.address.name or "an unknown address",
                exc.retry_after,
            )
            raise TooManyFailures(exc.retry_after) from None
        except Exception:
            logger.exception("The cache failed: logins are not throttled.")

    def succeeded(self) -> None:
        """Forget the failures of this user name at this address, and know the address."""
        self._change(self._pair, known=self._known_key())

    def give_back(self) -> None:
        """Leave everything as it was before begin()."""
        self._change(None)

    def _limits(self, cache: BaseCache) -> Iterator[Limit]:
        """Yield the limits that hold for this attempt."""
        limits, address = self.limits, self.address
        if limits is None:
            return
        name = normalised(self.name)
        if limits.pair and address.name:
            self._pair = Limit(cache, _key("pair", address.name, name), limits.pair)
            yield self._pair
        # Everybody's address would lock everybody out.
        if limits.address and address.shared:
            _tell_of_proxy()
        elif limits.address and address.name:
            yield Limit(cache, _key("address", address.name), limits.address)
        known = self._known_key()
        if limits.name and not (known and cache.get(known)):
            yield Limit(cache, _key("name", name), limits.name)

    def _change(self, forgotten: Limit | None, *, known: str | None = None) -> None:
        keys, self._taken = self._taken, []
        if self.limits is None:
            return
        try:
            cache = caches[self.limits.cache]
            if forgotten is not None:
                forgotten.forget()
            if keys:
                cache.delete_many(keys)
            if known:
                cache.set(known, 1, _KNOWN_SECONDS)
        except Exception:
            logger.exception("The cache failed: failed logins are not forgotten.")

    def _known_key(self) -> str | None:
        if self.limits is None or self.limits.name is None or self.address.name is None:
            return None
        return _key("known", self.address.name, normalised(self.name))


def normalised(name: str) -> str:
    """
    Return what all spellings of a user name have in common.

    More than Django's own NFKC: a database may compare without regard to case, accents or
    space at the end (MySQL), and no other spelling must find a fresh limit.
    """
    parts = unicodedata.normalize("NFKD", name[:_MAX_NAME].strip())
    bare = "".join(c for c in parts if unicodedata.category(c) not in {"Mn", "Me", "Cf"})
    # Upper first: in capitals a dotless i is an I, which casefold() alone would not make it.
    folded = unicodedata.normalize("NFKD", bare.upper().casefold())
    return "".join(c for c in folded if unicodedata.category(c) != "Mn").strip()


@once
def _tell_of_proxy() -> None:
    """Log, once in a process, what an administrator has to know."""
    logger.warning(
        "Where logins come from is not known, so that failures are counted by user name only: "
        "they arrive through a proxy that INSTANT['TRUSTED_PROXIES'] does not name, or that does "
        "not tell. Without any proxy, set it to []."
    )


def _key(kind: str, *parts: str) -> str:
    # An address attacks whichever tenant it likes.
    tenant = tenancy.current() if kind != "address" else ""
    return cache_key(f"throttle.{kind}", *([tenant, *parts] if tenant else parts))
