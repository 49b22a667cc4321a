"""The difference between two configs, for people and for a running server."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from itertools import repeat
from typing import Any

from instant.centrifugo.proxy import KINDS

__all__ = ["needs_restart", "readable"]

_SECRET = ("key", "secret", "password")
_IN_ADDRESS = re.compile(r"(?<=://)\S*@|(?<=pass=)[^&\s]+|(?<=password=)('[^']*'|[^&\s]+)")
"""User and password in an address, and a password among its parameters."""


def readable(before: Mapping[str, Any] | None, after: Mapping[str, Any], name: str) -> str:
    """Return a unified diff with all secrets masked; empty if the configs are equal."""
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
    Tell whether a running server has to be restarted to pick up the change.

    On SIGHUP, Centrifugo reloads token keys and channel options only (see its
    ``internal/app/run.go``): not origins, the API key, ports or proxies. A proxy that no namespace
    used when the server started doesn't exist in it; using it gives error 108.
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
    """Mask all secrets in ``value``; a secret that differs from ``before`` is marked as changed."""
    if isinstance(value, Mapping):
        old = before if isinstance(before, Mapping) else {}
        # Any of these headers may be a credential.
        secret = "secret" if key == "static_headers" else None
        return {
            name: _masked(inner, old.get(name), secret or name) for name, inner in value.items()
        }
    if isinstance(value, list):
        olds = before if isinstance(before, list) and len(before) == len(value) else repeat(None)
        return [
            _masked(inner, old if isinstance(inner, str) else None)
            for inner, old in zip(value, olds, strict=False)
        ]
    if isinstance(value, str) and value and key.endswith(_SECRET):
        return "…" if before is None or before == value else "… (another)"
    return _without_password(value, before) if isinstance(value, str) else value


def _without_password(text: str, before: Any) -> str:
    masked = _IN_ADDRESS.sub(lambda found: "…@" if found[0].endswith("@") else "…", text)
    # A password alone that changed would leave no line to see.
    same_but_for_it = isinstance(before, str) and before != text
    return f"{masked} (another)" if same_but_for_it and masked != text else masked
