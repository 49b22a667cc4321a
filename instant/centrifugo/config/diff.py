"""How two configs of the server differ, for people and for the server."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from instant.centrifugo.proxy import KINDS

__all__ = ["needs_restart", "readable"]

_SECRET = ("key", "secret", "password")


def readable(before: Mapping[str, Any] | None, after: Mapping[str, Any], name: str) -> str:
    """Return a unified diff with every secret masked; empty where nothing differs."""
    lines = difflib.unified_diff(
        _lines(before or {}),
        _lines(after, before),
        f"{name} (as it is)",
        f"{name} (as Python declares it)",
        lineterm="",
    )
    return "\n".join(lines)


def needs_restart(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    """
    Tell whether a running server takes the change only after a restart.

    On SIGHUP Centrifugo reads token keys and channel options again, and nothing else
    (its ``internal/app/run.go``): no origins, API key, ports or proxies. A proxy that no
    namespace used at the start is not there, whatever the config says of it: error 108.
    """
    if _read_at_start(before or {}) != _read_at_start(after):
        return True
    return not _proxies_used(after) <= _proxies_used(before or {})


def _read_at_start(config: Mapping[str, Any]) -> dict[str, Any]:
    channel = {
        key: value
        for key, value in config.get("channel", {}).items()
        if key not in {"namespaces", "without_namespace"}
    }
    client = {key: value for key, value in config.get("client", {}).items() if key != "token"}
    return {**config, "channel": channel, "client": client}


def _proxies_used(config: Mapping[str, Any]) -> set[tuple[str, str]]:
    channel = config.get("channel", {})
    named = channel.get("namespaces") or []
    return {
        (kind, options.get(f"{kind}_proxy_name") or "default")
        for options in (channel.get("without_namespace") or {}, *named)
        for kind in KINDS
        if options.get(f"{kind}_proxy_enabled")
    }


def _lines(config: Mapping[str, Any], before: Any = None) -> list[str]:
    return json.dumps(_masked(config, before), indent=2, ensure_ascii=False).splitlines()


def _masked(value: Any, before: Any, key: str = "") -> Any:
    """Return the value with every secret masked; one that changed shows that it did."""
    if isinstance(value, Mapping):
        old = before if isinstance(before, Mapping) else {}
        # A person's own header may be an Authorization.
        secret = "secret" if key == "static_headers" else None
        return {
            name: _masked(inner, old.get(name), secret or name) for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_masked(inner, None) for inner in value]
    if isinstance(value, str) and value and key.endswith(_SECRET):
        return "…" if before is None or before == value else "… (another)"
    return value
