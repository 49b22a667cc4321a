"""What makes the value of a key of ``INSTANT`` of what a project gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instant.conf.addresses import parse_consumer
from instant.conf.engine import parse_engine
from instant.conf.jobs import parse_jobs
from instant.conf.keys import is_address
from instant.conf.pools import pools_parser
from instant.conf.push import parse_push
from instant.conf.reminders import parse_reminders
from instant.conf.store import parse_store
from instant.conf.throttle import parse_cache, parse_calls, parse_limits
from instant.conf.trusted_proxies import parse_proxies

__all__ = ["AS_GIVEN", "PARSED"]

AS_GIVEN = (
    "anonymous",
    "login",
    "token_use",
    "token_life",
    "breaker",
    "outbox_partitions",
    "outbox_immediate",
    "outbox_keep",
    "check_queries",
    "gateway",
    "lite",
    "shared_connection",
    "tenant",
    "list_limit",
    "stream_limit",
    "stream_keep",
)
"""Keys, in small letters, whose value is taken as it is."""

PARSED: dict[str, Callable[[Any], Any]] = {
    "engine": parse_engine,
    "pools": pools_parser(is_address),
    "outbox_consumer": parse_consumer,
    "throttle": parse_limits,
    "calls": parse_calls,
    "cache": parse_cache,
    "trusted_proxies": parse_proxies,
    "jobs": parse_jobs,
    "store": parse_store,
    "push": parse_push,
    "reminders": parse_reminders,
}
"""And those with a function, which raises what it finds wrong."""
