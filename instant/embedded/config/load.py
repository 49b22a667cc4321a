"""The server's config, read from the same `config.json` that Centrifugo v6 reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .checks import check_personal_channel, check_sections
from .fill import fill
from .globs import Origins
from .names import Names, read_names
from .paths import path_of
from .proxies import ProxyOptions, named_proxies, proxy_options
from .schema import ConfigError
from .tokens import TokenOptions, token_options

__all__ = ["Config", "ConfigError", "ProxyOptions", "TokenOptions", "parse", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that the server reads from a config; times are seconds, sizes bytes."""

    address: str
    port: int
    internal_address: str
    internal_port: int
    names: Names
    origins: Origins
    token: TokenOptions
    subscription_token: TokenOptions
    insecure: bool
    user_header: str
    anonymous_connect: bool
    anonymous_tokens: bool
    ping_interval: float
    pong_timeout: float
    expired_close_delay: float
    expired_sub_close_delay: float
    stale_close_delay: float
    presence_interval: float
    position_check_delay: float
    channel_limit: int
    concurrency: int
    connection_limit: int
    connection_rate: int
    user_connection_limit: int
    queue_max_size: int
    server_time: bool
    history_limit: int
    recovery_limit: int
    personal_channels: bool
    personal_namespace: str
    personal_single: bool
    connect_proxy: ProxyOptions | None
    refresh_proxy: ProxyOptions | None
    proxies: Mapping[tuple[str, str], ProxyOptions]
    rpc_proxies: Mapping[str, str]
    rpc_boundary: str
    rpc_ping: str
    api_enabled: bool
    api_prefix: str
    api_key: str
    api_insecure: bool
    api_external: bool
    api_transport_errors: bool
    websocket_path: str
    websocket_limit: int
    write_timeout: float
    sse_path: str
    sse_limit: int
    http_stream_path: str
    http_stream_limit: int
    uni_sse_path: str
    uni_sse_limit: int
    uni_http_stream_path: str
    uni_http_stream_limit: int
    uni_websocket_path: str
    uni_websocket_limit: int
    uni_websocket_push: bool
    emulation_path: str
    emulation_limit: int
    health_path: str
    metrics_path: str
    node_name: str
    shutdown_timeout: float
    log_level: str

    def proxied_headers(self) -> frozenset[str]:
        """Return the names of the client headers that any proxy is sent, in lower case."""
        proxies = [self.connect_proxy, self.refresh_proxy, *self.proxies.values()]
        return frozenset[str]().union(*(proxy.headers for proxy in proxies if proxy is not None))


def parse(config: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> Config:
    """Make a Config of a `config.json`'s content; `variables` stands in for `os.environ`.

    Raises ConfigError that names the key: unknown keys, values of a wrong type, contradictions, and
    what only Centrifugo can do. The message never repeats a secret.
    """
    raw = fill(config, variables)
    check_sections(raw)
    client, http, api = raw["client"], raw["http_server"], raw["http_api"]
    names = read_names(
        raw["channel"],
        insecure=client["insecure"],
        proxies={item["name"] for item in raw["proxies"]},
    )
    check_personal_channel(client["subscribe_to_user_personal_channel"], names)
    return Config(
        address=http["address"],
        port=http["port"],
        internal_address=http["internal_address"],
        internal_port=int(http["internal_port"] or 0),
        names=names,
        **_client_options(client),
        **_tokens(client),
        **_application(raw, names),
        api_enabled=not api["disabled"],
        api_prefix=path_of(raw, "http_api"),
        api_key=api["key"],
        api_insecure=api["insecure"],
        api_external=api["external"],
        api_transport_errors=api["error_mode"] == "transport",
        **_paths_and_limits(raw),
        node_name=raw["node"]["name"],
        shutdown_timeout=raw["shutdown"]["timeout"],
        log_level=raw["log"]["level"],
    )


def _client_options(client: dict[str, Any]) -> dict[str, Any]:
    personal = client["subscribe_to_user_personal_channel"]
    try:
        origins = Origins(client["allowed_origins"])
    except ValueError as exc:
        raise ConfigError(f"client.allowed_origins: {exc}") from None
    return {
        "origins": origins,
        "insecure": client["insecure"],
        "user_header": client["user_id_http_header"],
        "anonymous_connect": client["allow_anonymous_connect_without_token"],
        "anonymous_tokens": not client["disallow_anonymous_connection_tokens"],
        "ping_interval": client["ping_interval"],
        "pong_timeout": client["pong_timeout"],
        **_with_fallbacks(client),
        # Negative is no limit, as 0 is.
        "concurrency": max(0, client["concurrency"]),
        "connection_limit": max(0, client["connection_limit"]),
        "connection_rate": max(0, client["connection_rate_limit"]),
        "user_connection_limit": max(0, client["user_connection_limit"]),
        "history_limit": max(0, client["history_max_publication_limit"]),
        "recovery_limit": max(0, client["recovery_max_publication_limit"]),
        "server_time": client["connect_include_server_time"],
        "personal_channels": personal["enabled"],
        "personal_namespace": personal["personal_channel_namespace"],
        "personal_single": personal["single_connection"],
    }


def _with_fallbacks(client: dict[str, Any]) -> dict[str, Any]:
    """Read what can't be 0, which only the environment can ask for: that is another default."""
    size = client["queue_max_size"] or 2**20
    return {
        "expired_close_delay": client["expired_close_delay"] or 25.0,
        "expired_sub_close_delay": client["expired_sub_close_delay"] or 25.0,
        "stale_close_delay": client["stale_close_delay"] or 15.0,
        "presence_interval": client["presence_update_interval"] or 25.0,
        "position_check_delay": client["channel_position_check_delay"] or 40.0,
        "channel_limit": client["channel_limit"] or 128,
        "queue_max_size": size if size > 0 else sys.maxsize,
    }


def _tokens(client: dict[str, Any]) -> dict[str, Any]:
    unsigned = client["insecure_skip_token_signature_verify"]
    token = token_options(client["token"], "client.token", unsigned=unsigned)
    own = client["subscription_token"]
    if not own["enabled"]:
        return {"token": token, "subscription_token": token}
    return {
        "token": token,
        "subscription_token": token_options(own, "client.subscription_token", unsigned=unsigned),
    }


def _application(raw: dict[str, Any], names: Names) -> dict[str, Any]:
    """Read where and when the application is asked."""
    connect, refresh = raw["client"]["proxy"]["connect"], raw["client"]["proxy"]["refresh"]
    rpc = raw["rpc"]
    return {
        "connect_proxy": proxy_options(connect, "client.proxy.connect")
        if connect["enabled"]
        else None,
        "refresh_proxy": proxy_options(refresh, "client.proxy.refresh")
        if refresh["enabled"]
        else None,
        "proxies": named_proxies(raw, names),
        "rpc_proxies": {
            item.get("name", ""): item["proxy_name"] if item["proxy_enabled"] else ""
            for item in (rpc["without_namespace"], *rpc["namespaces"])
        },
        "rpc_boundary": rpc["namespace_boundary"],
        "rpc_ping": rpc["ping"]["method"] if rpc["ping"]["enabled"] else "",
    }


def _paths_and_limits(raw: dict[str, Any]) -> dict[str, Any]:
    """Read where clients and monitors come in ("" is nowhere), and how much they may send."""

    def path_if(section: str, enabled: bool) -> str:
        return path_of(raw, section) if enabled else ""

    found: dict[str, Any] = {}
    for name in ("sse", "http_stream", "uni_sse", "uni_http_stream"):
        found[f"{name}_path"] = path_if(name, raw[name]["enabled"])
        found[f"{name}_limit"] = raw[name]["max_request_body_size"]
    return {
        **found,
        "websocket_path": path_if("websocket", not raw["websocket"]["disabled"]),
        "websocket_limit": raw["websocket"]["message_size_limit"],
        "write_timeout": raw["websocket"]["write_timeout"],
        "uni_websocket_path": path_if("uni_websocket", raw["uni_websocket"]["enabled"]),
        "uni_websocket_limit": raw["uni_websocket"]["message_size_limit"],
        "uni_websocket_push": not raw["uni_websocket"]["disable_disconnect_push"],
        "emulation_path": path_of(raw, "emulation"),
        "emulation_limit": raw["emulation"]["max_request_body_size"],
        "health_path": path_if("health", raw["health"]["enabled"]),
        "metrics_path": path_if("prometheus", raw["prometheus"]["enabled"]),
    }


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no value of JSON")


def read(path: Path) -> dict[str, Any]:
    """Read a config file; raises ConfigError that names it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise ConfigError(f"{path}: not JSON: {exc}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold an object")
    return content
