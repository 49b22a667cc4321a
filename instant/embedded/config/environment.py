"""Centrifugo's environment variables, laid over a `config.json`'s content: one per key.

`CENTRIFUGO_` and the key's path in capitals, joined with `_`. Lists of strings are separated by
blanks; lists of objects are JSON or the names of their items, each with variables of its own
(`CENTRIFUGO_CHANNEL_NAMESPACES="chat"`, `CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_PRESENCE=true`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .schema import SCHEMA, Anything, ConfigError, Duration, Inert, ListOf

PREFIX = "CENTRIFUGO"

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_NUMBER = re.compile(r"[+-]?[0-9]+")


def _parsed(variable: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise ConfigError(f"{variable}: not JSON") from None


def _scalar(variable: str, value: str, default: Any) -> Any:
    """Read a variable as the type of its key's default; raises ConfigError without the value."""
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
        # An empty variable counts as none.
        self.variables = {
            name: value
            for name, value in variables.items()
            if value and name.startswith(PREFIX + "_")
        }

    def lay(self, given: Any, keys: dict[str, Any], prefix: str) -> Any:
        """Return `given` with what the variables say; what isn't an object is left to `fill`."""
        if given is None:
            given = {}
        if not isinstance(given, dict):
            return given
        laid = dict(given)
        for key, default in keys.items():
            value = self._value(given.get(key), default, f"{prefix}_{key}".upper())
            if value is not None or key in given:
                laid[key] = value
        return laid

    def _value(self, given: Any, default: Any, variable: str) -> Any:
        if isinstance(default, Anything):
            return self._unread(given, variable)
        if isinstance(default, Inert):
            return self._inert(given, variable)
        if isinstance(default, ListOf):
            return self._list(given, default.keys, variable)
        if isinstance(default, dict) and default:
            if given is None and not self._any(variable):
                return None
            return self.lay(given, default, variable)
        value = self.variables.get(variable)
        if value is None:
            return given
        return value if isinstance(default, Duration) else _scalar(variable, value, default)

    def _any(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.variables)

    def _unread(self, given: Any, variable: str) -> Any:
        value = self.variables.get(variable)
        return _parsed(variable, value) if value is not None and value[:1] in "[{" else given

    def _inert(self, given: Any, variable: str) -> Any:
        if self.variables.get(variable + "_ENABLED") in _TRUE:
            return {**(given if isinstance(given, dict) else {}), "enabled": True}
        return given

    def _list(self, given: Any, keys: dict[str, Any], variable: str) -> Any:
        value = self.variables.get(variable)
        if value is not None:
            given = _items(variable, value, given if isinstance(given, list) else [], keys)
        if not isinstance(given, list) or "name" not in keys:
            return given
        return [self._named(item, keys, variable) for item in given]

    def _named(self, item: Any, keys: dict[str, Any], variable: str) -> Any:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            return item
        name = item["name"].replace(".", "_").replace("-", "_")
        prefix = f"{variable}_{name}".upper()
        return self.lay(item, keys, prefix) if self._any(prefix) else item


def lay_over(config: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return `config` as Centrifugo would read it with these variables.

    Raises ConfigError that names the variable whose value is of a wrong type.
    """
    laid: dict[str, Any] = _Overlay(variables).lay(dict(config), SCHEMA, PREFIX)
    return laid
