"""Convert a config file of Centrifugo 3 or 4, with its flat keys, to version 6."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instant.centrifugo.config.sections import section
from instant.exceptions import InstantConfigError

__all__ = ["convert", "is_flat"]

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
Where the keys of a Centrifugo 3 or 4 file are in version 6.

These are the keys that its ``genconfig`` and the ``installws`` of django-instant 4 wrote, and the
ones that were most often added by hand.
"""

_FLAT_MARKS = frozenset({"token_hmac_secret_key", "api_key", "allowed_origins"})
_SUPERFLUOUS = frozenset({"v3_use_offset"})  # the only behaviour since version 4
_SCALARS = frozenset({"pid_file", "enable_unreleased_features"})
_LISTS = frozenset({"proxies", "consumers"})


def is_flat(config: Mapping[str, Any]) -> bool:
    """Tell whether ``config`` has the flat keys of Centrifugo 3 or 4, which version 6 ignores."""
    return not _FLAT_MARKS.isdisjoint(config)


def convert(config: dict[str, Any]) -> dict[str, Any]:
    """
    Return the config with the keys of version 6. Values that already have such a key win.

    Objects in ``config`` are reused and changed. Raises InstantConfigError if the file has keys
    that can't be converted.
    """
    # "admin" is a boolean in version 4 and an object in version 6.
    old = {key: config[key] for key in _FLAT if key in config}
    if isinstance(old.get("admin"), Mapping):
        del old["admin"]
    rest = {key: value for key, value in config.items() if key not in {*old, *_SUPERFLUOUS}}
    unknown = sorted(
        key
        for key, value in rest.items()
        if key not in _SCALARS
        and not isinstance(value, Mapping)
        and not (key in _LISTS and isinstance(value, list))
    )
    if unknown:
        raise InstantConfigError(
            f"The config file is for Centrifugo 3 or 4. Its keys, origins and admin password can "
            f"be converted to version 6, but not: {', '.join(unknown)}. Move the file away and run "
            f"“manage.py installws”, or rename these keys as described at "
            f"https://centrifugal.dev/docs/getting-started/migration_v6."
        )
    for key, value in old.items():
        *sections, last = _FLAT[key]
        section(rest, *sections).setdefault(last, value)
    return rest
