"""Filling in a config: every key is checked, every missing one gets its default."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from .environment import FromEnvironment, overlay
from .schema import SCHEMA, ConfigError, Duration, Inert, ListOf, Unread
from .weak_types import duration, number, switch, text, text_map, texts

# What these have on the command line stands in for a missing value, but not for an empty object.
_ON_COMMAND_LINE = frozenset(
    (
        *("pid_file", "log.level", "log.file", "client.insecure", "engine.type", "map_broker.type"),
        *("broker.enabled", "broker.type", "presence_manager.enabled", "presence_manager.type"),
        *("http_server.address", "http_server.port"),
        *("http_server.internal_address", "http_server.internal_port"),
        *("http_api.insecure", "http_api.external", "prometheus.enabled", "health.enabled"),
        *("admin.enabled", "admin.external", "admin.insecure", "debug.enabled", "swagger.enabled"),
        *("uni_websocket.enabled", "uni_sse.enabled", "uni_http_stream.enabled"),
        *("sse.enabled", "http_stream.enabled", "init.enabled"),
    )
)
_VARIABLE = re.compile(r"\$\{(CENTRIFUGO_VAR_[^}]+)\}")
_READERS: dict[type, Callable[[Any], Any]] = {
    bool: switch,
    int: number,
    str: text,
    list: texts,
    dict: text_map,
}


def unsupported(path: str, what: str) -> ConfigError:
    """Return the error for a key that asks for what only Centrifugo has."""
    return ConfigError(
        f"{path}: asks for {what}, which the embedded server does not have; run Centrifugo for it"
    )


class _Filler:
    """Fills in one config, and collects its unknown keys."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.unknown: list[str] = []

    def fill(self, value: Any, default: Any, path: str) -> Any:
        if isinstance(default, Unread):
            return self._section(value, default.keys, path, known=False)
        if isinstance(default, Inert):
            return self._inert(value, default, path)
        if isinstance(default, ListOf):
            return [
                self.fill(item, default.keys, f"{path}.[{at}]")
                for at, item in enumerate(_items(value, path))
            ]
        if isinstance(default, dict) and default:
            return self._section(value, default, path, known=True)
        found = _leaf(value, default, path)
        return self._with_variables(found, path) if isinstance(found, dict) else found

    def _with_variables(self, texts: dict[str, str], path: str) -> dict[str, str]:
        """Put variables of the environment where "${CENTRIFUGO_VAR_NAME}" asks for them."""

        def replaced(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self._variables:
                raise ConfigError(f"{path}: the environment has no variable {name}")
            return self._variables[name]

        return {key: _VARIABLE.sub(replaced, item) for key, item in texts.items()}

    def _inert(self, value: Any, default: Inert, path: str) -> None:
        section = self._section(value, {"enabled": False}, path, known=False)
        if section["enabled"]:
            raise unsupported(f"{path}.enabled", default.why)

    def _section(
        self, value: Any, keys: dict[str, Any], path: str, *, known: bool
    ) -> dict[str, Any]:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise ConfigError(f"{path or 'config'}: must be an object")
        prefix = path + "." if path else ""
        given = {key.lower(): item for key, item in value.items()}
        if known:
            self.unknown += [prefix + key for key in value if key.lower() not in keys]
        return {key: self.fill(given.get(key), sub, prefix + key) for key, sub in keys.items()}


def _items(value: Any, path: str) -> list[Any]:
    """Return the items of a list of objects; an object is the only one in it."""
    if isinstance(value, dict):
        return [value] if value else []
    if value is None or isinstance(value, list):
        return value or []
    raise ConfigError(f"{path}: must be a list of objects")


def _leaf(value: Any, default: Any, path: str) -> Any:
    """Read a value; 0 or "" in a file is the default, in a variable it is what it says."""
    asks_for_zero = isinstance(value, FromEnvironment)
    if isinstance(value, FromEnvironment):
        value = value.value
    read = duration if isinstance(default, Duration) else _READERS[type(default)]
    fallback = duration(default.text) if isinstance(default, Duration) else default
    if value is None or (value == {} and "[" not in path and path not in _ON_COMMAND_LINE):
        return fallback
    try:
        found = read(value)
    except ValueError as exc:
        raise ConfigError(f"{path}: {exc}") from None
    return found if found or asks_for_zero else fallback


def fill(config: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return `config` with the environment's variables and every default filled in.

    `variables` stands in for `os.environ`. Raises ConfigError that names every unknown key, or the
    first value of a wrong type.
    """
    environment = os.environ if variables is None else variables
    filler = _Filler(environment)
    filled: dict[str, Any] = filler.fill(overlay(config, environment), SCHEMA, "")
    if filler.unknown:
        raise ConfigError("unknown keys in config: " + ", ".join(filler.unknown))
    return filled
