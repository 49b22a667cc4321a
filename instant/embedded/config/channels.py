"""The options of a namespace: what it keeps, and what it lets clients do without a token."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from .fill import unsupported
from .go_regex import compile_regex
from .schema import ConfigError

_FORMATS = ("", "json", "json_object", "binary")
_RECOVERY_MODES = ("", "stream", "cache")
_MAP_MODES = ("", "ephemeral", "recoverable", "persistent")
_MAP_KEYS = ("", "client_id", "user_id")
_PROXIES = ("subscribe", "publish", "sub_refresh", "subscribe_stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may do one thing in a namespace without a token.

    `client` is everybody, `subscriber` whoever is subscribed; users without an id need `anonymous`
    besides.
    """

    client: bool
    subscriber: bool
    anonymous: bool

    def grants(self, user: str, subscribed: bool) -> bool:
        """Tell whether `user` may; "" is an anonymous one."""
        if not user and not self.anonymous:
            return False
        return self.client or (self.subscriber and subscribed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """The options of a namespace; times are seconds."""

    presence: bool
    join_leave: bool
    force_push_join_leave: bool
    history_size: int
    history_ttl: float
    history_meta_ttl: float
    force_positioning: bool
    allow_positioning: bool
    force_recovery: bool
    allow_recovery: bool
    cache_recovery: bool
    auto_cache_recover: bool
    allowed_delta_types: tuple[str, ...]
    delta_publish: bool
    tags_filter: bool
    subscribe: Access
    publish: Access
    read_presence: Access
    read_history: Access
    user_limited: bool
    regex: re.Pattern[str] | None
    data_format: str
    subscribe_proxy: str
    publish_proxy: str
    sub_refresh_proxy: str

    @property
    def has_history(self) -> bool:
        """Tell whether publications are kept."""
        return self.history_size > 0 and self.history_ttl > 0


def _access(raw: dict[str, Any], what: str, insecure: bool) -> Access:
    if insecure:
        return Access(client=True, subscriber=True, anonymous=True)
    return Access(
        client=raw[f"allow_{what}_for_client"],
        subscriber=raw.get(f"allow_{what}_for_subscriber", False),
        anonymous=raw[f"allow_{what}_for_anonymous"],
    )


def _refuse_unsupported(raw: dict[str, Any], path: str) -> None:
    if raw["subscribe_stream_proxy_enabled"]:
        raise unsupported(f"{path}.subscribe_stream_proxy_enabled", "subscription streams")
    if raw["subscription_type"] not in {"", "stream"}:
        raise unsupported(
            f"{path}.subscription_type", f"{raw['subscription_type']!r} subscriptions"
        )
    for key in ("map_clients_presence_channel_prefix", "map_users_presence_channel_prefix"):
        if raw[key]:
            raise unsupported(f"{path}.{key}", "presence as map channels")


def check_seconds(raw: dict[str, Any], key: str, path: str) -> None:
    """Raise ConfigError for a time of life that isn't in whole seconds."""
    if raw[key] > 0 and raw[key] % 1:
        raise ConfigError(f"{path}.{key}: must be in whole seconds")


def check_format(raw: dict[str, Any], path: str) -> None:
    """Raise ConfigError for a format that publications can't have."""
    if raw["publication_data_format"] not in _FORMATS:
        raise ConfigError(f"{path}.publication_data_format: must be json, json_object or binary")


def _check_history(raw: dict[str, Any], path: str, meta_ttl: float) -> None:
    for key in ("history_ttl", "history_meta_ttl"):
        check_seconds(raw, key, path)
    size, ttl = raw["history_size"], raw["history_ttl"]
    if bool(size) != bool(ttl):
        raise ConfigError(f"{path}: history_size and history_ttl go together: set both or neither")
    if ttl > (raw["history_meta_ttl"] or meta_ttl):
        raise ConfigError(f"{path}.history_ttl: must not be greater than history_meta_ttl")
    if raw["force_recovery"] and not size:
        raise ConfigError(f"{path}.force_recovery: needs history_size and history_ttl")


def _check_choices(raw: dict[str, Any], path: str, proxies: Collection[str]) -> None:
    if raw["force_recovery_mode"] not in _RECOVERY_MODES:
        raise ConfigError(f"{path}.force_recovery_mode: must be stream or cache")
    check_format(raw, path)
    if raw["map"]["mode"] not in _MAP_MODES:
        raise ConfigError(f"{path}.map.mode: must be ephemeral, recoverable or persistent")
    if raw["map"]["client_key"] not in _MAP_KEYS:
        raise ConfigError(f"{path}.map.client_key: must be client_id or user_id")
    for kind in _PROXIES:
        name = raw[f"{kind}_proxy_name"]
        if name != "default" and name not in proxies:
            raise ConfigError(f"{path}.{kind}_proxy_name: there is no {name!r} in proxies")


def channel_options(
    raw: dict[str, Any],
    path: str,
    *,
    meta_ttl: float,
    data_format: str,
    insecure: bool,
    proxies: Collection[str],
) -> ChannelOptions:
    """Read the options of one namespace; raises ConfigError with `path` in it.

    If the server is `insecure`, everybody may do whatever needs no token. `proxies` are the names
    that the config defines.
    """
    _refuse_unsupported(raw, path)
    _check_history(raw, path, meta_ttl)
    _check_choices(raw, path, proxies)
    cached = raw["force_recovery_mode"] == "cache"
    if raw["auto_cache_recover"] and not (raw["force_recovery"] and cached):
        raise ConfigError(f"{path}.auto_cache_recover: needs force_recovery in cache mode")
    for kind in raw["allowed_delta_types"]:
        if kind != "fossil":
            raise ConfigError(f"{path}.allowed_delta_types: knows fossil only, not {kind!r}")
    try:
        regex = compile_regex(raw["channel_regex"]) if raw["channel_regex"] else None
    except ValueError as exc:
        raise ConfigError(f"{path}.channel_regex: {exc}") from None
    return ChannelOptions(
        presence=raw["presence"],
        join_leave=raw["join_leave"],
        force_push_join_leave=raw["force_push_join_leave"],
        history_size=raw["history_size"],
        history_ttl=raw["history_ttl"],
        history_meta_ttl=raw["history_meta_ttl"] or meta_ttl,
        force_positioning=raw["force_positioning"],
        allow_positioning=raw["allow_positioning"],
        force_recovery=raw["force_recovery"],
        allow_recovery=raw["allow_recovery"],
        cache_recovery=cached,
        auto_cache_recover=raw["auto_cache_recover"],
        allowed_delta_types=tuple(raw["allowed_delta_types"]),
        delta_publish=raw["delta_publish"],
        tags_filter=raw["allow_tags_filter"],
        subscribe=_access(raw, "subscribe", insecure),
        publish=_access(raw, "publish", insecure),
        read_presence=_access(raw, "presence", insecure),
        read_history=_access(raw, "history", insecure),
        user_limited=raw["allow_user_limited_channels"],
        regex=regex,
        data_format=raw["publication_data_format"] or data_format,
        subscribe_proxy=raw["subscribe_proxy_name"] if raw["subscribe_proxy_enabled"] else "",
        publish_proxy=raw["publish_proxy_name"] if raw["publish_proxy_enabled"] else "",
        sub_refresh_proxy=(
            raw["sub_refresh_proxy_name"] if raw["sub_refresh_proxy_enabled"] else ""
        ),
    )
