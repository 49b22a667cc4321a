"""
Settings, read when they are used.

Four plain settings name the server (``CENTRIFUGO_HOST``, ``CENTRIFUGO_PORT``,
``CENTRIFUGO_HMAC_KEY``, ``CENTRIFUGO_API_KEY``), ``SITE_NAME`` the site, and one dict,
``INSTANT``, holds the rest. A Django setting wins over Centrifugo's own environment
variable, which wins over ``config.json`` in ``INSTANT["DIR"]``.

``current()`` returns it all in one frozen ``Conf``. It is kept until a setting is overridden
(``setting_changed``) or the file changes, because publish() asks for it each time.
"""

from __future__ import annotations

from typing import Any

from django.core.signals import setting_changed

from instant.centrifugo.config.values import ENVIRONMENT
from instant.conf import isolation
from instant.conf.descriptions import DESCRIPTIONS, PLAIN_SETTINGS
from instant.conf.keys import DEFAULTS, TYPES
from instant.conf.resolve import Stamp, differences, resolve, site_name, stamp, tenant_path
from instant.conf.resolved import Conf

__all__ = [
    "DEFAULTS",
    "DESCRIPTIONS",
    "ENVIRONMENT",
    "PLAIN_SETTINGS",
    "TYPES",
    "Conf",
    "current",
    "differences",
    "site_name",
    "tenant_path",
]


class _Cache:
    """What was resolved; another one when a setting changes."""

    found: tuple[Stamp, str | None, Conf] | None = None


_cache = _Cache()


def current() -> Conf:
    """Return the settings as they are now; raise InstantConfigError for a wrong one."""
    isolation.notice()
    cache = _cache
    found = cache.found
    if found is not None and found[0] == stamp(found[1]):
        return found[2]
    found = cache.found = resolve()
    return found[2]


def _forget(**_kwargs: Any) -> None:
    global _cache  # noqa: PLW0603  what a thread is resolving now goes into the old one
    _cache = _Cache()


setting_changed.connect(_forget, dispatch_uid="instant.conf")
