"""Filling in a config: every key is checked, every missing one gets its default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from .environment import overlay
from .schema import SCHEMA, ConfigError, Duration, Ignored, Inert, ListOf, seconds

_VARIABLE = re.compile(r"\$\{(CENTRIFUGO_VAR_[A-Za-z0-9_]+)\}")


def unsupported(path: str, what: str) -> ConfigError:
    """Return the error for a key that asks for what only Centrifugo has."""
    return ConfigError(
        f"{path}: asks for {what}, which the embedded server does not have; run Centrifugo for it"
    )


class _Filler:
    """Fills in one config, and collects its unknown keys."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.unknown: list[str] = []

    def fill(self, value: Any, default: Any, path: str) -> Any:
        if isinstance(default, Ignored):
            return value
        if isinstance(default, Inert):
            return self._inert(value, default, path)
        if isinstance(default, ListOf):
            if value is None:
                return []
            if not isinstance(value, list):
                raise ConfigError(f"{path}: must be a list of objects")
            return [
                self.fill(item, default.keys, f"{path}.[{at}]") for at, item in enumerate(value)
            ]
        if isinstance(default, Duration):
            return self._duration(value, default, path)
        if isinstance(default, dict) and default:
            return self._section(value, default, path)
        return default if value is None else self._leaf(value, default, path)

    def _inert(self, value: Any, default: Inert, path: str) -> None:
        if isinstance(value, dict) and value.get("enabled"):
            raise unsupported(f"{path}.enabled", default.why)

    def _section(self, value: Any, default: dict[str, Any], path: str) -> dict[str, Any]:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise ConfigError(f"{path or 'config'}: must be an object")
        prefix = path + "." if path else ""
        self.unknown += [prefix + key for key in value if key not in default]
        return {key: self.fill(value.get(key), sub, prefix + key) for key, sub in default.items()}

    def _duration(self, value: Any, default: Duration, path: str) -> float:
        if value is None:
            value = default.text
        if isinstance(value, int) and not isinstance(value, bool):
            return value * 1e-9  # as Go reads a bare number
        if not isinstance(value, str):
            raise ConfigError(f'{path}: must be a duration such as "25s"')
        try:
            return seconds(self._text(value))
        except ValueError as exc:
            raise ConfigError(f"{path}: {exc}") from None

    def _leaf(self, value: Any, default: Any, path: str) -> Any:
        kind = type(default)
        if isinstance(value, str):
            value = self._text(value)
        if kind is bool and not isinstance(value, bool):
            raise ConfigError(f"{path}: must be true or false")
        if kind is int and (isinstance(value, bool) or not isinstance(value, int)):
            raise ConfigError(f"{path}: must be a whole number")
        if kind is str and not isinstance(value, str):
            raise ConfigError(f"{path}: must be a string")
        if kind is list:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ConfigError(f"{path}: must be a list of strings")
            return [self._text(item) for item in value]
        if kind is dict:
            if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
                raise ConfigError(f"{path}: must be an object of strings")
            return {key: self._text(item) for key, item in value.items()}
        return value

    def _text(self, value: str) -> str:
        return _VARIABLE.sub(lambda found: self.variables.get(found[1], ""), value)


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
