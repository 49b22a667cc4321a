"""Centrifugo's environment variables: each overrides one key of a `config.json`.

A variable is `CENTRIFUGO_` and the key's path in capitals, joined with `_`. Strings of a list are
separated by spaces. A list of objects is JSON, or the names of its items, each of which then has
variables of its own (`CENTRIFUGO_CHANNEL_NAMESPACES="chat"`,
`CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_PRESENCE=true`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .schema import SCHEMA, ConfigError, Duration, Inert, ListOf, Unread

PREFIX = "CENTRIFUGO"

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_NUMBER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A value that the environment says; a 0 there is one, while in a file it is the default."""

    value: Any


def _parsed(variable: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise ConfigError(f"{variable}: not JSON") from None


def _scalar(variable: str, value: str, default: Any) -> Any:
    """Read a variable as the type of its key's default; raises ConfigError that names no value."""
    if isinstance(default, bool):
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise ConfigError(f"{variable}: must be true or false")
    if isinstance(default, int):
        if not _NUMBER.fullmatch(value):
            raise ConfigError(f"{variable}: must be a whole number")
        return int(value)
    if isinstance(default, list):
        return value.split(" ")
    if isinstance(default, dict):
        return _parsed(variable, value)
    return value


def _items(variable: str, value: str, given: list[Any], keys: dict[str, Any]) -> list[Any]:
    if value.startswith("[") and value.endswith("]"):
        parsed: list[Any] = _parsed(variable, value)
        return parsed
    if "name" not in keys:
        raise ConfigError(f"{variable}: must be a JSON list")
    return [*given, *({"name": name} for name in value.split(" "))]


class _Overlay:
    def __init__(self, variables: Mapping[str, str]) -> None:
        # Centrifugo treats an empty variable as one that is not set.
        self.variables = {
            name: value
            for name, value in variables.items()
            if value and name.startswith(PREFIX + "_")
        }

    def merge(self, given: Any, keys: dict[str, Any], prefix: str) -> Any:
        """Return `given` with the variables' values in it; `fill` refuses what isn't an object."""
        if given is None:
            given = {}
        if not isinstance(given, dict):
            return given
        # Centrifugo tells no capitals from small letters in keys.
        merged = {key.lower() if key.lower() in keys else key: item for key, item in given.items()}
        given = merged.copy()
        for key, default in keys.items():
            value = self._value(given.get(key), default, f"{prefix}_{key}".upper())
            if value is not None or key in given:
                merged[key] = value
        return merged

    def _value(self, given: Any, default: Any, variable: str) -> Any:
        if isinstance(default, Unread):
            return self.merge(given, default.keys, variable) if self._any(variable) else given
        if isinstance(default, Inert):
            return self._inert(given, variable)
        if isinstance(default, ListOf):
            return self._list(given, default.keys, variable)
        if isinstance(default, dict) and default:
            if given is None and not self._any(variable):
                return None
            return self.merge(given, default, variable)
        value = self.variables.get(variable)
        if value is None:
            return given
        return FromEnvironment(
            value if isinstance(default, Duration) else _scalar(variable, value, default)
        )

    def _any(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.variables)

    def _inert(self, given: Any, variable: str) -> Any:
        if self.variables.get(variable + "_ENABLED") in _TRUE:
            return {**(given if isinstance(given, dict) else {}), "enabled": True}
        return given

    def _list(self, given: Any, keys: dict[str, Any], variable: str) -> Any:
        value = self.variables.get(variable)
        if isinstance(given, dict):
            given = [given] if given else []
        if value is not None:
            given = _items(variable, value, given if isinstance(given, list) else [], keys)
        if not isinstance(given, list) or "name" not in keys:
            return given
        return [self._named(item, keys, variable) for item in given]

    def _named(self, item: Any, keys: dict[str, Any], variable: str) -> Any:
        if not isinstance(item, dict):
            return item
        given = next((value for key, value in item.items() if key.lower() == "name"), None)
        if not isinstance(given, str):
            return item
        name = given.replace(".", "_").replace("-", "_")
        prefix = f"{variable}_{name}".upper()
        return self.merge(item, keys, prefix) if self._any(prefix) else item


def overlay(config: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return `config` as Centrifugo would read it with these variables.

    Raises ConfigError that names the variable whose value is of a wrong type.
    """
    merged: dict[str, Any] = _Overlay(variables).merge(dict(config), SCHEMA, PREFIX)
    return merged
