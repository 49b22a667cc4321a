"""A config file of Centrifugo 3 or 4, whose keys were flat, carried over to version 6."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instant.centrifugo.config.sections import section
from instant.exceptions import InstantConfigError

__all__ = ["carry_over", "is_flat"]

_FLAT: Mapping[str, tuple[str, ...]] = {
    "token_hmac_secret_key": ("client", "token", "hmac_secret_key"),
    "token_audience": ("client", "token", "audience"),
    "api_key": ("http_api", "key"),
    "allowed_origins": ("client", "allowed_origins"),
    "address": ("http_server", "address"),
    "port": ("http_server", "port"),
    "admin": ("admin", "enabled"),
    "admin_password": ("admin", "password"),
    "admin_secret": ("admin", "secret"),
}
"""
Where the keys of a Centrifugo 3 or 4 file went in v6: what its ``genconfig`` and the
``installws`` of django-instant 4 wrote, and the few that people added most.
"""

_FLAT_MARKS = frozenset({"token_hmac_secret_key", "api_key", "allowed_origins"})
_SUPERFLUOUS = frozenset({"v3_use_offset"})  # v4 and later do as it says
_SCALARS = frozenset({"pid_file", "enable_unreleased_features"})
_LISTS = frozenset({"proxies", "consumers"})


def is_flat(config: Mapping[str, Any]) -> bool:
    """Tell whether ``config`` has the flat keys of Centrifugo 3 or 4, which v6 ignores."""
    return not _FLAT_MARKS.isdisjoint(config)


def carry_over(config: dict[str, Any]) -> dict[str, Any]:
    """
    Return the config with the keys of v6; values that stand there already win.

    It takes over the objects in ``config``, which is of no use afterwards.

    Raises InstantConfigError where the file holds keys that have no known place in v6.
    """
    # "admin" is a switch in v4 and an object in v6.
    old = {key: config[key] for key in _FLAT if key in config}
    if isinstance(old.get("admin"), Mapping):
        del old["admin"]
    rest = {key: value for key, value in config.items() if key not in {*old, *_SUPERFLUOUS}}
    strange = sorted(
        key
        for key, value in rest.items()
        if key not in _SCALARS
        and not isinstance(value, Mapping)
        and not (key in _LISTS and isinstance(value, list))
    )
    if strange:
        raise InstantConfigError(
            f"The config file is one of Centrifugo 3 or 4. Its keys, origins and admin password "
            f"can be carried over to version 6, but not: {', '.join(strange)}. Move the file away "
            f"and run “manage.py installws”, or rename these keys as "
            f"https://centrifugal.dev/docs/getting-started/migration_v6 says."
        )
    for key, value in old.items():
        *sections, last = _FLAT[key]
        section(rest, *sections).setdefault(last, value)
    return rest
