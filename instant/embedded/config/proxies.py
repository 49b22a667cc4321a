"""The proxies of a config: where and how the application is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instant.embedded.errors import ClientError, Disconnect

from .fill import unsupported
from .names import NAMESPACE_NAME, Names
from .schema import ConfigError

# A reason must fit into a closing frame of a WebSocket.
_LONGEST_REASON = 123
_MOST_CODES = 2**32
_PROXIES = ("subscribe", "publish", "sub_refresh")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """Where to ask the application, and how."""

    endpoint: str
    timeout: float
    headers: frozenset[str]
    emulated_headers: frozenset[str]
    static_headers: Mapping[str, str]
    include_meta: bool
    binary: bool
    errors: Mapping[int, ClientError]
    disconnects: Mapping[int, Disconnect]


def _check_transforms(transforms: list[dict[str, Any]], path: str) -> None:
    for at, item in enumerate(transforms):
        where = f"{path}.http.status_to_code_transforms.[{at}]"
        error, disconnect = item["to_error"], item["to_disconnect"]
        if not item["status_code"]:
            raise ConfigError(f"{where}.status_code: there must be one")
        if bool(error["code"]) == bool(disconnect["code"]):
            raise ConfigError(f"{where}: must have a code in to_error or in to_disconnect")
        for name, told in (("to_error", error["message"]), ("to_disconnect", disconnect["reason"])):
            if not 0 <= item[name]["code"] < _MOST_CODES:
                raise ConfigError(f"{where}.{name}.code: must be a positive number")
            if not told.isascii() or len(told) > _LONGEST_REASON:
                raise ConfigError(f"{where}.{name}: must have no more than 123 letters, all ASCII")


def _check(raw: dict[str, Any], path: str) -> None:
    if not raw["endpoint"]:
        raise ConfigError(f"{path}.endpoint: an enabled proxy needs one")
    if not raw["timeout"]:
        raise ConfigError(f"{path}.timeout: must not be 0")
    _check_transforms(raw["http"]["status_to_code_transforms"], path)


def proxy_options(raw: dict[str, Any], path: str) -> ProxyOptions:
    """Read the options of one proxy; raises ConfigError with `path` in it."""
    _check(raw, path)
    endpoint = raw["endpoint"]
    if not endpoint.startswith(("http://", "https://")):
        raise unsupported(f"{path}.endpoint", "a GRPC proxy")
    http = raw["http"]
    transforms = http["status_to_code_transforms"]
    return ProxyOptions(
        endpoint=endpoint,
        timeout=raw["timeout"],
        headers=frozenset(name.lower() for name in raw["http_headers"]),
        emulated_headers=frozenset(name.lower() for name in raw["emulated_headers"]),
        static_headers=http["static_headers"],
        include_meta=raw["include_connection_meta"],
        binary=raw["binary_encoding"],
        errors={
            item["status_code"]: ClientError(**item["to_error"])
            for item in transforms
            if item["to_error"]["code"]
        },
        disconnects={
            item["status_code"]: Disconnect(**item["to_disconnect"])
            for item in transforms
            if item["to_disconnect"]["code"]
        },
    )


def named_proxies(raw: dict[str, Any], names: Names) -> dict[tuple[str, str], ProxyOptions]:
    """Return the proxies that namespaces name, by kind and name; raises ConfigError."""
    named: dict[str, tuple[dict[str, Any], str]] = {}
    for at, item in enumerate(raw["proxies"]):
        path = f"proxies.[{at}]"
        name = item["name"]
        if not NAMESPACE_NAME.fullmatch(name) or name == "default" or name in named:
            raise ConfigError(f"{path}.name: {name!r} is reserved, used twice or not a valid name")
        _check(item, path)
        named[name] = (item, path)
    used: set[tuple[str, str]] = set()
    for found in (names.without_namespace, *names.namespaces.values()):
        used |= {(kind, getattr(found, f"{kind}_proxy")) for kind in _PROXIES}
    rpc = raw["rpc"]
    used |= {
        ("rpc", item["proxy_name"])
        for item in (rpc["without_namespace"], *rpc["namespaces"])
        if item["proxy_enabled"]
    }
    resolved: dict[tuple[str, str], ProxyOptions] = {}
    for kind, name in sorted(used):
        if not name:
            continue
        if name == "default":
            section = rpc["proxy"] if kind == "rpc" else raw["channel"]["proxy"][kind]
            path = "rpc.proxy" if kind == "rpc" else f"channel.proxy.{kind}"
        elif name in named:
            section, path = named[name]
        else:
            raise ConfigError(f"proxies: {name!r} is used for {kind} and not defined")
        resolved[kind, name] = proxy_options(section, path)
    return resolved
