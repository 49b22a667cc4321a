"""What Django reads from the server's config and environment: keys and addresses."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instant.centrifugo.config.audience import base
from instant.centrifugo.config.proxies import SECRET_VARIABLE, secrets_in

__all__ = ["ENVIRONMENT", "ServerValues", "read_values", "values_of"]

ENVIRONMENT: Mapping[str, str] = {
    "hmac_key": "CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY",
    "api_key": "CENTRIFUGO_HTTP_API_KEY",
    "port": "CENTRIFUGO_HTTP_SERVER_PORT",
    "audience": "CENTRIFUGO_CLIENT_TOKEN_AUDIENCE",
    "proxy_secret": SECRET_VARIABLE,
}
"""Centrifugo's environment variables. They win over its file, for Django as for the server."""

_SIZE_LIMITS: Mapping[str, tuple[str, ...]] = {
    "CENTRIFUGO_WEBSOCKET_MESSAGE_SIZE_LIMIT": ("websocket", "message_size_limit"),
    "CENTRIFUGO_EMULATION_MAX_REQUEST_BODY_SIZE": ("emulation", "max_request_body_size"),
}
"""How many bytes a client may send at once: over a WebSocket, and with the other transports."""

_SIZE_LIMIT = 65536
"""Centrifugo's default for both."""

_PATHS: Mapping[str, tuple[str, ...]] = {
    "hmac_key": ("client", "token", "hmac_secret_key"),
    "api_key": ("http_api", "key"),
    "port": ("http_server", "port"),
    "audience": ("client", "token", "audience"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerValues:
    """Unchecked values; None if there is none."""

    hmac_key: Any = field(repr=False)
    api_key: Any = field(repr=False)
    proxy_secrets: tuple[str, ...] = field(repr=False)
    """A request with one of these comes from the server."""
    audience: Any
    port: Any
    """The port that clients connect to."""
    internal_port: Any
    """The port of the API, if it has one of its own."""
    api_host: str
    """Scheme and host of the API."""
    size_limit: int
    """How many bytes a client may send at once, whatever its transport."""
    in_file: Mapping[str, Any] = field(repr=False)
    """The values in the file alone, by the names of ENVIRONMENT."""
    error: str | None
    """Why the file can't be read, if there is one."""


def read_values(path: str | None, environ: Mapping[str, str] = os.environ) -> ServerValues:
    """Read config.json, if there is one, and the environment. Never raises."""
    file, error = ({}, None) if path is None else _read(path)
    return values_of(file, environ, error)


def values_of(
    file: Mapping[str, Any], environ: Mapping[str, str] | None = None, error: str | None = None
) -> ServerValues:
    """Return the values in the content of a config.json; ``environ`` overrides them."""
    environ = {} if environ is None else environ
    in_file = {name: _dig(file, *keys) for name, keys in _PATHS.items()}
    secret = environ.get(SECRET_VARIABLE)
    merged = {name: environ.get(ENVIRONMENT[name]) or in_file[name] for name in _PATHS}
    return ServerValues(
        hmac_key=merged["hmac_key"],
        api_key=merged["api_key"],
        proxy_secrets=(secret,) if secret else secrets_in(file, environ),
        audience=merged["audience"] or base(_dig(file, "client", "token", "audience_regex")),
        port=merged["port"],
        internal_port=_dig(file, "http_server", "internal_port") or None,
        api_host=_api_host(file),
        size_limit=_size_limit(file, environ),
        in_file=in_file,
        error=error,
    )


def _size_limit(file: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    limits = []
    for variable, path in _SIZE_LIMITS.items():
        text = str(environ.get(variable) or _dig(file, *path) or "")
        # What is no number is the server's to refuse.
        limits.append(int(text) if text.isascii() and text.isdigit() else _SIZE_LIMIT)
    return min(limits)


def _read(path: str) -> tuple[Mapping[str, Any], str | None]:
    try:
        value = json.loads(Path(path).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}, None
    except OSError as exc:
        return {}, f"{path} can't be read by the user {_user()!r}: {exc.strerror}."
    except ValueError as exc:
        return {}, f"{path} is not JSON: {exc}."
    if not isinstance(value, dict):
        return {}, f"{path} does not hold a JSON object."
    return value, None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid()) if hasattr(os, "getuid") else "?"


def _dig(value: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _api_host(file: Mapping[str, Any]) -> str:
    address = _dig(file, "http_server", "internal_address") or _dig(file, "http_server", "address")
    if not isinstance(address, str) or address in {"", "0.0.0.0", "::"}:  # noqa: S104  compared
        address = "localhost"
    if ":" in address:
        address = f"[{address}]"
    tls = _dig(file, "http_server", "tls", "enabled") is True
    return f"{'https' if tls else 'http'}://{address}"
