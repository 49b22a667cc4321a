"""Objects inside the server's config, created if they are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from instant.exceptions import InstantConfigError

__all__ = ["find_namespace", "namespace_list", "section", "wrong_shape"]


def section(config: dict[str, Any], *path: str, under: str = "") -> dict[str, Any]:
    """
    Return the object at ``path`` in ``config``; create it if it is missing.

    Raises InstantConfigError, which names the path, if another value is there. ``under`` is the
    path of ``config`` itself, if it isn't the whole file.
    """
    for depth, key in enumerate(path, start=1):
        found = config.setdefault(key, {})
        if not isinstance(found, dict):
            raise wrong_shape(".".join([*filter(None, [under]), *path[:depth]]), "an object")
        config = found
    return config


def namespace_list(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return ``channel.namespaces``; create it if it is missing. Raises InstantConfigError."""
    found = section(config, "channel").setdefault("namespaces", [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise wrong_shape("channel.namespaces", "a list of objects")
    return found


def find_namespace(listed: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """Return the index of the namespace ``name``, or None."""
    return next((i for i, entry in enumerate(listed) if entry.get("name") == name), None)


def wrong_shape(name: str, wanted: str) -> InstantConfigError:
    """Return the error for a value of the wrong type."""
    return InstantConfigError(f"{name} in the config file must be {wanted}. Correct it there.")
