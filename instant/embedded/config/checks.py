"""Checks of whole sections: contradictions, and what only Centrifugo can do."""

from __future__ import annotations

import re
from typing import Any

from .fill import unsupported
from .names import NAMESPACE_NAME, Names
from .paths import check_paths
from .schema import CONSUMER_TYPES, ConfigError
from .tokens import check_claim

_BROKERS = ("memory", "nats", "redis", "redisnats", "postgres")
_MAP_BROKERS = ("memory", "redis", "postgres")
_ERROR_MODES = ("", "transport")
_CONSUMER_NAME = re.compile("[a-zA-Z0-9_]{2,}")
_PORTS = 2**16


def check_sections(raw: dict[str, Any]) -> None:
    """Raise ConfigError for what Centrifugo refuses, and for what it has and this server hasn't."""
    _check_servers(raw)
    _check_brokers(raw)
    _check_consumers(raw["consumers"])
    _check_rpc(raw)
    _check_clocks(raw["client"])
    check_claim(raw["client"]["subscription_token"], "client.subscription_token")
    check_paths(raw)


def _check_servers(raw: dict[str, Any]) -> None:
    http = raw["http_server"]
    port = http["internal_port"]
    if port and not (port.isascii() and port.isdigit() and int(port) < _PORTS):
        raise ConfigError("http_server.internal_port: must be a port number in a string")
    if http["h2c_external"]:
        raise unsupported("http_server.h2c_external", "HTTP/2")
    if raw["http_api"]["error_mode"] not in _ERROR_MODES:
        raise ConfigError('http_api.error_mode: must be "transport", or nothing')


def _check_brokers(raw: dict[str, Any]) -> None:
    engine = raw["engine"]["type"]
    if engine != "memory":
        raise unsupported("engine.type", f"the {engine} engine")
    for section, known in (("broker", _BROKERS), ("map_broker", _MAP_BROKERS)):
        if raw[section]["type"] not in known:
            raise ConfigError(f"{section}.type: must be one of {', '.join(known)}")
    for section, what in (("broker", "broker"), ("presence_manager", "presence manager")):
        found = raw[section]
        if found["enabled"] and found["type"] != "memory":
            raise unsupported(f"{section}.enabled", f"a separate {what}")


def _check_consumers(consumers: list[dict[str, Any]]) -> None:
    names = set()
    for at, consumer in enumerate(consumers):
        path, name = f"consumers.[{at}]", consumer["name"]
        if not _CONSUMER_NAME.fullmatch(name) or name in names:
            raise ConfigError(f"{path}.name: {name!r} is used twice or not a valid name")
        names.add(name)
        if consumer["type"] not in CONSUMER_TYPES:
            raise ConfigError(f"{path}.type: must be one of {', '.join(CONSUMER_TYPES)}")
        if consumer["enabled"]:
            raise unsupported(path, "a consumer")


def _check_rpc(raw: dict[str, Any]) -> None:
    rpc, proxies = raw["rpc"], {item["name"] for item in raw["proxies"]}
    names = set()
    sections = [(rpc["without_namespace"], "rpc.without_namespace")]
    for at, namespace in enumerate(rpc["namespaces"]):
        path, name = f"rpc.namespaces.[{at}]", namespace["name"]
        if not NAMESPACE_NAME.fullmatch(name) or name in names:
            raise ConfigError(f"{path}.name: {name!r} is used twice or not a valid name")
        names.add(name)
        sections.append((namespace, path))
    for section, path in sections:
        if section["proxy_name"] not in {"default", *proxies}:
            raise ConfigError(
                f"{path}.proxy_name: there is no {section['proxy_name']!r} in proxies"
            )


def _check_clocks(client: dict[str, Any]) -> None:
    if client["pong_timeout"] >= client["ping_interval"]:
        raise ConfigError("client.pong_timeout: must be less than client.ping_interval")


def check_personal_channel(personal: dict[str, Any], names: Names) -> None:
    """Raise ConfigError for personal channels that can't work."""
    namespace = personal["personal_channel_namespace"] if personal["enabled"] else ""
    path = "client.subscribe_to_user_personal_channel"
    found = names.namespaces.get(namespace) if namespace else names.without_namespace
    if found is None:
        raise ConfigError(f"{path}.personal_channel_namespace: no namespace {namespace!r}")
    if personal["single_connection"] and not found.presence:
        raise ConfigError(f"{path}.single_connection: needs presence in that namespace")
