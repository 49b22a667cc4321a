"""The options of one subscription: its namespace's, and what a grant puts in their place."""

from __future__ import annotations

from dataclasses import dataclass

from instant.embedded.config.channels import ChannelOptions
from instant.embedded.tokens.grants import Grant


@dataclass(slots=True, kw_only=True)
class SubscriptionOptions:
    """How one client is subscribed to one channel; `expire_at` is Unix time, 0 is never."""

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


_NO_GRANT = Grant()


def subscription_options(
    channel: ChannelOptions, source: str, grant: Grant = _NO_GRANT
) -> SubscriptionOptions:
    """Return a channel's options with those of a grant in their place.

    `source` says what allowed the subscription.
    """
    override = grant.override or {}
    recovery = override.get("force_recovery", channel.force_recovery)
    cache = channel.cache_recovery
    return SubscriptionOptions(
        source=source,
        info=grant.info,
        data=grant.data,
        presence=override.get("presence", channel.presence),
        join_leave=override.get("join_leave", channel.join_leave),
        push_join_leave=override.get("force_push_join_leave", channel.force_push_join_leave),
        positioning=override.get("force_positioning", channel.force_positioning),
        recovery=recovery,
        cache=cache,
        auto_cache=cache and recovery and (channel.auto_cache_recover or grant.cache_recover),
        delta_types=channel.allowed_delta_types,
        meta_ttl=channel.history_meta_ttl,
        tags_filter=channel.tags_filter,
    )
