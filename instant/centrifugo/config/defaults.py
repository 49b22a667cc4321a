"""
What Instant needs from the server: the config that a new file gets and an old one lacks.

Keys are those of Centrifugo v6, nested. Whatever a file holds already stays; only what is
missing is added, so that a person may edit the file between two runs.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from instant.centrifugo.config import v3
from instant.centrifugo.config.sections import find_namespace, namespace_list, section, wrong_shape

__all__ = [
    "CHANNEL_OPTIONS",
    "DEFAULT_ADDRESS",
    "DEFAULT_PORT",
    "NAMESPACES",
    "compile_config",
    "new_secret",
]

DEFAULT_ADDRESS = "127.0.0.1"
"""Only this machine: API and clients share a port, with a reverse proxy in front of both."""

DEFAULT_PORT = 8427
"""Centrifugo's own default is 8000, which is where ``runserver`` listens."""

CHANNEL_OPTIONS: Mapping[str, Any] = {
    "presence": True,
    "history_size": 100,
    "history_ttl": "300s",
    "force_recovery": True,
}
"""
Missed messages are replayed. No ``allow_*`` key: a channel opens with a token or not at all.
"""

NAMESPACES = ("user",)
"""Namespaces that are always there: ``user:<pk>`` is every user's own channel."""

_HISTORY = ("history_size", "history_ttl", "force_recovery")


def new_secret() -> str:
    """Return a fresh random secret of 64 URL-safe characters (384 bits)."""
    return secrets.token_urlsafe(48)


def compile_config(
    existing: Mapping[str, Any] | None,
    *,
    allowed_origins: Iterable[str],
    audience: str,
    port: int = DEFAULT_PORT,
    address: str = DEFAULT_ADDRESS,
    secret: Callable[[], str] = new_secret,
) -> dict[str, Any]:
    """
    Return ``existing`` completed with all that Instant needs from the server.

    Values that are there stay, the two secrets above all; origins are added to those of the
    file. The two secrets that ``secret`` makes where there are none differ: one signs tokens,
    the other opens the HTTP API. A Centrifugo 3 or 4 file is carried over to the keys of v6
    with its secrets. ``existing`` itself is not changed.

    Raises InstantConfigError where a value has the wrong shape to be completed, or where an
    old file holds keys that have no known place in v6.
    """
    config = copy.deepcopy(dict(existing or {}))
    if v3.is_flat(config):
        config = v3.carry_over(config)
    server = section(config, "http_server")
    server.setdefault("address", address)
    server.setdefault("port", port)
    token = section(config, "client", "token")
    _fill(token, "hmac_secret_key", secret)
    if "audience_regex" not in token:
        _fill(token, "audience", lambda: audience)
    client = section(config, "client")
    origins = client.get("allowed_origins") or []
    if not isinstance(origins, list):
        raise wrong_shape("client.allowed_origins", "a list of origins")
    client["allowed_origins"] = list(dict.fromkeys([*origins, *allowed_origins]))
    _fill(section(config, "http_api"), "key", secret)
    # What the client falls back to where something on the way blocks WebSockets.
    for transport in ("http_stream", "sse"):
        section(config, transport).setdefault("enabled", True)
    section(config, "usage_stats").setdefault("disabled", True)
    channel = section(config, "channel")
    channel["without_namespace"] = _options(section(config, "channel", "without_namespace"))
    listed = namespace_list(config)
    for name in NAMESPACES:
        place = find_namespace(listed, name)
        if place is None:
            listed.append({"name": name, **CHANNEL_OPTIONS})
        else:
            listed[place] = _options(listed[place])
    return config


def _fill(section: dict[str, Any], key: str, make: Callable[[], str]) -> None:
    if not section.get(key):
        section[key] = make()


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**given, **{key: CHANNEL_OPTIONS[key] for key in CHANNEL_OPTIONS if key not in given}}
    if merged["history_size"] in {0, None} or merged["history_ttl"] in {"", "0", "0s", 0, None}:
        # Somebody switched history off. One half of it, or recovery without it, stops the server.
        for key in _HISTORY:
            if key not in given:
                del merged[key]
    return merged
