"""The terms of a subscription: a namespace's, and what a token or the application overrides."""

from __future__ import annotations

from dataclasses import dataclass

from instant.embedded.config.channels import ChannelOptions
from instant.embedded.tokens.verify import Grant

# The longest life of a connection or subscription that ends at all.
YEAR = 365 * 24 * 3600
# How long one lives on when the application can't be asked about it.
GRACE = 60


def bounded(expire_at: int, now: float) -> int:
    """Cut a life that is longer than a year."""
    return min(expire_at, int(now) + YEAR)


@dataclass(slots=True, kw_only=True)
class Terms:
    """How one client reads one channel; `expire_at` is Unix time, 0 is never."""

    source: str
    info: str
    data: str
    presence: bool
    join_leave: bool
    push_join_leave: bool
    positioning: bool
    recovery: bool
    cache: bool
    auto_cache: bool
    delta_types: tuple[str, ...]
    meta_ttl: float
    tags_filter: bool = False
    expire_at: int = 0
    client_refresh: bool = False


_NOTHING = Grant()


def terms(options: ChannelOptions, source: str, grant: Grant = _NOTHING) -> Terms:
    """Lay a grant over a namespace's options."""
    override = grant.override or {}
    recovery = override.get("force_recovery", options.force_recovery)
    cache = options.cache_recovery
    return Terms(
        source=source,
        info=grant.info,
        data=grant.data,
        presence=override.get("presence", options.presence),
        join_leave=override.get("join_leave", options.join_leave),
        push_join_leave=override.get("force_push_join_leave", options.force_push_join_leave),
        positioning=override.get("force_positioning", options.force_positioning),
        recovery=recovery,
        cache=cache,
        auto_cache=cache and recovery and (options.auto_cache_recover or grant.cache_recover),
        delta_types=options.allowed_delta_types,
        meta_ttl=options.history_meta_ttl,
        tags_filter=options.tags_filter,
    )
