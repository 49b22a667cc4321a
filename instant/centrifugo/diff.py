"""How two configs of the server differ, for people and for the server."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["needs_restart", "readable"]

_SECRET = ("key", "secret", "password")


def readable(before: Mapping[str, Any] | None, after: Mapping[str, Any], name: str) -> str:
    """Return a unified diff with every secret masked; empty where nothing differs."""
    lines = difflib.unified_diff(
        _lines(before or {}),
        _lines(after),
        f"{name} (as it is)",
        f"{name} (as Python declares it)",
        lineterm="",
    )
    return "\n".join(lines)


def needs_restart(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    """
    Tell whether a running server takes the change only after a restart.

    On SIGHUP Centrifugo reads token keys and channel options again, and nothing else
    (its ``internal/app/run.go``): no origins, API key, ports or proxies.
    """
    return _read_at_start(before or {}) != _read_at_start(after)


def _read_at_start(config: Mapping[str, Any]) -> dict[str, Any]:
    channel = {
        key: value
        for key, value in config.get("channel", {}).items()
        if key not in {"namespaces", "without_namespace"}
    }
    client = {key: value for key, value in config.get("client", {}).items() if key != "token"}
    return {**config, "channel": channel, "client": client}


def _lines(config: Mapping[str, Any]) -> list[str]:
    return json.dumps(_masked(config), indent=2, ensure_ascii=False).splitlines()


def _masked(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _masked(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return "…" if isinstance(value, str) and value and key.endswith(_SECRET) else value
