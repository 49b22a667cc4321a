"""The paths where clients, the HTTP API and monitors come in."""

from __future__ import annotations

import re
from typing import Any

from .fill import unsupported
from .schema import ConfigError

# Sections with a path, and the key that says whether there is one.
_CLIENTS = (
    ("websocket", "disabled"),
    *((name, "enabled") for name in ("sse", "http_stream")),
    *((name, "enabled") for name in ("uni_sse", "uni_http_stream", "uni_websocket")),
)
_OPERATORS = (("http_api", "disabled"), ("health", "enabled"), ("prometheus", "enabled"))
_BRACES = re.compile(r"\{[A-Za-z_]\w*\}", re.ASCII)


def path_of(raw: dict[str, Any], section: str) -> str:
    """Return the path of a section; a / at its end means nothing, as in Centrifugo."""
    prefix: str = raw[section]["handler_prefix"]
    return prefix.rstrip("/") or "/"


def _in_use(raw: dict[str, Any], section: str, key: str) -> bool:
    return bool(raw[section][key]) == (key == "enabled")


def check_paths(raw: dict[str, Any]) -> None:
    """Raise ConfigError for a path that can't be one, or that two things ask for."""
    clients = [name for name, key in _CLIENTS if _in_use(raw, name, key)]
    if raw["sse"]["enabled"] or raw["http_stream"]["enabled"]:
        clients.append("emulation")
    operators = [name for name, key in _OPERATORS if _in_use(raw, name, key)]
    internal = raw["http_server"]["internal_port"]
    if internal in {"", "0", str(raw["http_server"]["port"])}:
        _check_distinct(raw, clients + operators)
    else:
        _check_distinct(raw, operators)
        external = ["http_api"] if "http_api" in operators and raw["http_api"]["external"] else []
        _check_distinct(raw, clients + external)


def _check_distinct(raw: dict[str, Any], sections: list[str]) -> None:
    seen: dict[str, str] = {}
    for section in sections:
        path, where = path_of(raw, section), f"{section}.handler_prefix"
        if "/" not in path or " " in path or "\t" in path:
            raise ConfigError(
                f"{where}: {path!r} is not a path, which begins with / and has no blanks"
            )
        if set(_BRACES.sub("", path)) & set("{}"):
            raise ConfigError(f"{where}: {path!r} has a brace without a name and its other half")
        if not path.startswith("/"):
            raise unsupported(where, "a path of one host")
        if path in seen:
            raise ConfigError(f"{where}: {path!r} is the path of {seen[path]} already")
        seen[path] = section
