"""
What Instant needs in the server's config.

Keys are those of Centrifugo 6. Values that a file already has are kept and only missing ones are
added, so the file can be edited by hand between two runs.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from instant.centrifugo.config import v3
from instant.centrifugo.config.audience import compile_audience
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
"""Loopback only: clients and the API share a port, and a reverse proxy goes in front of it."""

DEFAULT_PORT = 8427
"""Not Centrifugo's own default, 8000: ``runserver`` listens there."""

CHANNEL_OPTIONS: Mapping[str, Any] = {
    "presence": True,
    "history_size": 100,
    "history_ttl": "300s",
    "force_recovery": True,
}
"""Missed messages are replayed. No ``allow_*`` option: subscribing always takes a token."""

NAMESPACES = ("user",)
"""Namespaces of every config. ``user:<pk>`` is the channel of one user."""

_HISTORY = ("history_size", "history_ttl", "force_recovery")


def new_secret() -> str:
    """Return a new random secret: 64 URL-safe characters, 384 bits."""
    return secrets.token_urlsafe(48)


def compile_config(
    existing: Mapping[str, Any] | None,
    *,
    allowed_origins: Iterable[str],
    audience: str,
    port: int = DEFAULT_PORT,
    address: str = DEFAULT_ADDRESS,
    secret: Callable[[], str] = new_secret,
    origins_before: Collection[str] = (),
    tenants: bool = False,
    history: bool = True,
) -> dict[str, Any]:
    """
    Return a copy of ``existing``, completed with everything that Instant needs.

    Existing values are kept, above all the two secrets: one signs tokens, the other is the key of
    the HTTP API. Missing ones are made by calling ``secret``, once for each. ``allowed_origins``
    are added to those in the file; of these, ``origins_before`` were compiled into it last time,
    and go where they are no longer wanted. ``tenants``: whether tokens are for tenants of the
    audience, too. ``history``: whether the server can keep messages; if not, what this function
    has added for that is taken away. A file of Centrifugo 3 or 4 is converted to the keys of
    version 6 and keeps its secrets.

    Raises InstantConfigError if a value that has to be completed has the wrong type, or if an old
    file has keys that can't be converted.
    """
    config = copy.deepcopy(dict(existing or {}))
    if v3.is_flat(config):
        config = v3.convert(config)
    server = section(config, "http_server")
    server.setdefault("address", address)
    server.setdefault("port", port)
    token = section(config, "client", "token")
    _fill(token, "hmac_secret_key", secret)
    compile_audience(token, audience, tenants=tenants)
    client = section(config, "client")
    origins = client.get("allowed_origins") or []
    if not isinstance(origins, list):
        raise wrong_shape("client.allowed_origins", "a list of origins")
    wanted = list(allowed_origins)
    kept = [o for o in origins if o in wanted or o not in origins_before]
    client["allowed_origins"] = list(dict.fromkeys([*kept, *wanted]))
    _fill(section(config, "http_api"), "key", secret)
    # The client falls back to these where something on the network blocks WebSockets.
    for transport in ("http_stream", "sse"):
        section(config, transport).setdefault("enabled", True)
    section(config, "usage_stats").setdefault("disabled", True)
    channel = section(config, "channel")
    channel["without_namespace"] = _options(
        section(config, "channel", "without_namespace"), history=history
    )
    listed = namespace_list(config)
    for name in NAMESPACES:
        place = find_namespace(listed, name)
        if place is None:
            listed.append(_options({"name": name}, history=history))
        else:
            listed[place] = _options(listed[place], history=history)
    return config


def _fill(section: dict[str, Any], key: str, make: Callable[[], str]) -> None:
    if not section.get(key):
        section[key] = make()


def _options(given: Mapping[str, Any], *, history: bool) -> dict[str, Any]:
    if not history:
        ours = all(given.get(key) == CHANNEL_OPTIONS[key] for key in _HISTORY)
        kept = {key: value for key, value in given.items() if not (ours and key in _HISTORY)}
        return {**kept, "presence": given.get("presence", CHANNEL_OPTIONS["presence"])}
    merged = {**given, **{key: CHANNEL_OPTIONS[key] for key in CHANNEL_OPTIONS if key not in given}}
    if merged["history_size"] in {0, None} or merged["history_ttl"] in {"", "0", "0s", 0, None}:
        # History is switched off on purpose. With only one of the two set, or with recovery and no
        # history, the server would not start.
        for key in _HISTORY:
            if key not in given:
                del merged[key]
    return merged
