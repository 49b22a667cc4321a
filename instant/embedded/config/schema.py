"""Every key of Centrifugo v6's `config.json`: what is read, what is ignored, what is refused.

The tree holds each key's default, and a value must have the type of its default; see `weak_types`
for how that is taken. `Inert` sections are features of Centrifugo that would change what clients
see: they may be there, but not enabled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class ConfigError(ValueError):
    """A config that this server can't run with; the message names the key by its path."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A default that is a duration, in Go's notation."""

    text: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of objects with these keys."""

    keys: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Inert:
    """A section that is not read; if its `enabled` is true, the config is refused."""

    why: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A section that does nothing here. No key in it is unknown; those of `keys` are checked."""

    keys: dict[str, Any] = field(default_factory=dict)


UNREAD = Unread()


_TLS = Inert("TLS")
_TOKEN: dict[str, Any] = {
    "hmac_secret_key": "",
    "hmac_previous_secret_key": "",
    "hmac_previous_secret_key_valid_until": 0,
    "rsa_public_key": "",
    "ecdsa_public_key": "",
    "jwks_public_endpoint": "",
    "audience": "",
    "audience_regex": "",
    "issuer": "",
    "issuer_regex": "",
    "user_id_claim": "",
    "insecure_skip_jwks_endpoint_safety_check": False,
}
_TRANSFORM: dict[str, Any] = {
    "status_code": 0,
    "to_error": {"code": 0, "message": "", "temporary": False},
    "to_disconnect": {"code": 0, "reason": ""},
}
_PROXY: dict[str, Any] = {
    "endpoint": "",
    "timeout": Duration("1s"),
    "http_headers": [],
    "grpc_metadata": [],
    "emulated_headers": [],
    "binary_encoding": False,
    "include_connection_meta": False,
    "http": {"tls": _TLS, "static_headers": {}, "status_to_code_transforms": ListOf(_TRANSFORM)},
    "grpc": UNREAD,
}
_SWITCHED_PROXY = {"enabled": False, **_PROXY}
_CHANNEL: dict[str, Any] = {
    "presence": False,
    "join_leave": False,
    "force_push_join_leave": False,
    "map_clients_presence_channel_prefix": "",
    "map_users_presence_channel_prefix": "",
    "history_size": 0,
    "history_ttl": Duration("0s"),
    "history_meta_ttl": Duration("0s"),
    "force_positioning": False,
    "allow_positioning": False,
    "force_recovery": False,
    "allow_recovery": False,
    "force_recovery_mode": "",
    "auto_cache_recover": False,
    "allowed_delta_types": [],
    "allow_tags_filter": False,
    "delta_publish": False,
    "allow_subscribe_for_anonymous": False,
    "allow_subscribe_for_client": False,
    "allow_publish_for_anonymous": False,
    "allow_publish_for_subscriber": False,
    "allow_publish_for_client": False,
    "allow_presence_for_anonymous": False,
    "allow_presence_for_subscriber": False,
    "allow_presence_for_client": False,
    "allow_history_for_anonymous": False,
    "allow_history_for_subscriber": False,
    "allow_history_for_client": False,
    "allow_user_limited_channels": False,
    "channel_regex": "",
    "publication_data_format": "",
    "subscribe_proxy_enabled": False,
    "subscribe_proxy_name": "default",
    "publish_proxy_enabled": False,
    "publish_proxy_name": "default",
    "sub_refresh_proxy_enabled": False,
    "sub_refresh_proxy_name": "default",
    "subscribe_stream_proxy_enabled": False,
    "subscribe_stream_proxy_name": "default",
    "subscribe_stream_proxy_bidirectional": False,
    "subscription_type": "",
    "map": Unread({"mode": "", "client_key": ""}),
    "shared_poll": UNREAD,
}
_RPC: dict[str, Any] = {"proxy_enabled": False, "proxy_name": "default"}
_UNI_STREAM: dict[str, Any] = {
    "enabled": False,
    "max_request_body_size": 65536,
    "connect_code_to_http_response": Inert("connect_code_to_http_response"),
}
_MONITOR: dict[str, Any] = {"enabled": False, "handler_prefix": ""}
CONSUMER_TYPES = (
    *("postgresql", "kafka", "nats_jetstream", "redis_stream"),
    *("google_pub_sub", "aws_sqs", "azure_service_bus"),
)
_CONSUMER = {"name": "", "enabled": False, "type": "", **dict.fromkeys(CONSUMER_TYPES, UNREAD)}
_WEBSOCKET: dict[str, Any] = {
    "compression": False,
    "compression_min_size": 0,
    "compression_level": 1,
    "read_buffer_size": 0,
    "use_write_buffer_pool": False,
    "write_buffer_size": 0,
    "write_timeout": Duration("1s"),
    "message_size_limit": 65536,
    "decompressed_message_size_limit": 0,
}

SCHEMA: dict[str, Any] = {
    "http_server": {
        "address": "",
        "port": 8000,
        "internal_address": "",
        "internal_port": "",
        "tls": _TLS,
        "tls_autocert": _TLS,
        "tls_external": False,
        "internal_tls": _TLS,
        "http3": Inert("HTTP/3"),
        "h2c_external": False,
    },
    "log": {"level": "info", "file": ""},
    "engine": {"type": "memory", "redis": UNREAD},
    "broker": Unread({"enabled": False, "type": "memory"}),
    "presence_manager": Unread({"enabled": False, "type": "memory"}),
    "map_broker": Unread({"type": "memory"}),
    "controller": Inert("a controller"),
    "shared_poll": UNREAD,
    "client": {
        "proxy": {"connect": _SWITCHED_PROXY, "refresh": _SWITCHED_PROXY},
        "allowed_origins": [],
        "token": _TOKEN,
        "subscription_token": {"enabled": False, **_TOKEN},
        "allow_anonymous_connect_without_token": False,
        "disallow_anonymous_connection_tokens": False,
        "ping_interval": Duration("25s"),
        "pong_timeout": Duration("8s"),
        "expired_close_delay": Duration("25s"),
        "expired_sub_close_delay": Duration("25s"),
        "stale_close_delay": Duration("10s"),
        "channel_limit": 128,
        "queue_max_size": 1048576,
        "presence_update_interval": Duration("27s"),
        "concurrency": 0,
        "channel_position_check_delay": Duration("40s"),
        "channel_position_max_time_lag": Duration("0s"),
        "connection_limit": 0,
        "user_connection_limit": 0,
        "connection_rate_limit": 0,
        "connect_include_server_time": False,
        "history_max_publication_limit": 300,
        "recovery_max_publication_limit": 300,
        "insecure_skip_token_signature_verify": False,
        "user_id_http_header": "",
        "insecure": False,
        "subscribe_to_user_personal_channel": {
            "enabled": False,
            "personal_channel_namespace": "",
            "single_connection": False,
        },
        "connect_code_to_unidirectional_disconnect": Inert("disconnect code transforms"),
    },
    "channel": {
        "proxy": {
            "subscribe": _PROXY,
            "publish": _PROXY,
            "sub_refresh": _PROXY,
            "subscribe_stream": UNREAD,
            "map_publish": UNREAD,
            "map_remove": UNREAD,
            "shared_poll_refresh": UNREAD,
        },
        "without_namespace": _CHANNEL,
        "namespaces": ListOf({"name": "", **_CHANNEL}),
        "history_meta_ttl": Duration("720h"),
        "publication_data_format": "",
        "max_length": 255,
        "private_prefix": "$",
        "namespace_boundary": ":",
        "user_boundary": "#",
        "user_separator": ",",
    },
    "rpc": {
        "proxy": _PROXY,
        "without_namespace": _RPC,
        "namespaces": ListOf({"name": "", **_RPC}),
        "ping": {"enabled": False, "method": "ping"},
        "namespace_boundary": ":",
    },
    "proxies": ListOf({"name": "", **_PROXY}),
    "http_api": {
        "disabled": False,
        "handler_prefix": "/api",
        "key": "",
        "error_mode": "",
        "external": False,
        "insecure": False,
    },
    "grpc_api": Inert("the GRPC API"),
    "consumers": ListOf(_CONSUMER),
    "websocket": {"disabled": False, "handler_prefix": "/connection/websocket", **_WEBSOCKET},
    "sse": {
        "enabled": False,
        "handler_prefix": "/connection/sse",
        "max_request_body_size": 65536,
    },
    "http_stream": {
        "enabled": False,
        "handler_prefix": "/connection/http_stream",
        "max_request_body_size": 65536,
    },
    "webtransport": Inert("WebTransport"),
    "uni_sse": {"handler_prefix": "/connection/uni_sse", **_UNI_STREAM},
    "uni_http_stream": {"handler_prefix": "/connection/uni_http_stream", **_UNI_STREAM},
    "uni_websocket": {
        "enabled": False,
        "handler_prefix": "/connection/uni_websocket",
        **_WEBSOCKET,
        "disable_closing_handshake": False,
        "disable_disconnect_push": False,
        "join_push_messages": False,
    },
    "uni_grpc": Inert("unidirectional GRPC"),
    "emulation": {"handler_prefix": "/emulation", "max_request_body_size": 65536},
    "admin": Unread({**_MONITOR, "password": "", "secret": "", "insecure": False, "web_path": ""}),
    "prometheus": {
        "enabled": False,
        "handler_prefix": "/metrics",
        "instrument_http_handlers": False,
        "recovered_publications_histogram": False,
        "native_histograms": False,
    },
    "health": {"enabled": False, "handler_prefix": "/health"},
    "swagger": Unread(_MONITOR),
    "debug": Unread(_MONITOR),
    "init": Unread(_MONITOR),
    "opentelemetry": Unread({"enabled": False, "api": False, "consuming": False}),
    "graphite": Unread({"enabled": False, "host": "", "port": 0, "interval": Duration("10s")}),
    "usage_stats": Unread({"disabled": False}),
    "node": {"name": "", "info_metrics_aggregate_interval": Duration("1m")},
    "shutdown": {"timeout": Duration("30s")},
    "pid_file": "",
    "enable_unreleased_features": False,
}
