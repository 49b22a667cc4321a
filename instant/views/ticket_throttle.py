"""
How many tickets of the lite script may be asked for, counted in Django's cache.

Each is an entry of the cache. A user has a limit, in whatever session; visitors share one by their
address, since they choose their cookies freely. ``INSTANT["THROTTLE"] = None`` switches both off,
as those of logins.
"""

from __future__ import annotations

import logging

from django.core.cache import caches
from django.http import HttpRequest

from instant import conf
from instant.conf.throttle import Rate
from instant.inbound.limiter import Full, Limit, cache_key
from instant.rights import tokens
from instant.rights.client_address import request_address
from instant.tenancy import current as tenancy
from instant.views.errors import Answered

__all__ = ["OF_ADDRESS", "OF_USER", "count"]

logger = logging.getLogger("instant.throttles")

OF_USER = Rate(120, 60)
"""Thirty tabs that come back after a restart of the server, and try four times."""

OF_ADDRESS = Rate(600, 60)
"""Many visitors may share one."""


def count(request: HttpRequest) -> None:
    """Note that a ticket is asked for; 429 where too many were. A cache that fails is logged."""
    current = conf.current()
    if current.throttle is None:
        return
    if user := tokens.subject(request.user):
        key, rate = cache_key("tickets-user", tenancy.current(), user), OF_USER
    else:
        address = request_address(request.META, current.trusted_proxies)
        if address.shared or not address.name:
            return  # everybody's address would lock everybody out
        key, rate = cache_key("tickets-address", address.name), OF_ADDRESS
    try:
        Limit(caches[current.throttle.cache], key, rate).take()
    except Full as exc:
        logger.warning("Too many tickets were asked for by one user or address: refused for now.")
        text = f"Too many tickets were asked for. Try again in {exc.retry_after} seconds."
        headers = {"Retry-After": str(exc.retry_after)}
        raise Answered(text, status=429, headers=headers) from None
    except Exception:
        logger.exception("The cache failed: tickets are not throttled.")
