"""
System checks.

============ =====================================================================
instant.E001 a setting is wrong
instant.E002 the backend can't be imported
instant.E003 a namespace's declaration can't work, or two claim one name
instant.W001 the HMAC key has fewer than 32 bytes
instant.W002 a setting or variable differs from the server's config.json
instant.W003 every origin may connect
instant.W004 ``login/`` would bypass the site's second factor
instant.W005 the server's config is not in line with what the apps declare
============ =====================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004

from instant import conf
from instant.backends import get_backend
from instant.exceptions import InstantConfigError
from instant.management.syncing import compare
from instant.namespaces import registered

__all__ = ["check_settings"]

_KEY_BYTES = 32
"""RFC 7518, section 3.2: a key of at least the size of the hash output."""

_SECOND_FACTORS = ("django_otp", "allauth.mfa", "mfa", "kagi", "deux", "trench")


@register(Tags.security)
def check_settings(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  Django's signature
    **_kwargs: Any,
) -> list[CheckMessage]:
    """Check the settings without asking the server."""
    try:
        current = conf.current()
    except InstantConfigError as exc:
        return [Error(str(exc), id="instant.E001")]
    return list(_messages(current))


def _messages(current: conf.Conf) -> Iterator[CheckMessage]:
    yield from _namespaces()
    yield from _drift(current)
    try:
        get_backend()
    except InstantConfigError as exc:
        yield Error(str(exc), id="instant.E002")
    try:
        length = len(current.hmac_key.encode())
    except InstantConfigError:
        length = _KEY_BYTES  # a fresh project: installws or runws will write one
    if length < _KEY_BYTES:
        yield Warning(
            f"The HMAC key has {length} bytes; HS256 wants at least {_KEY_BYTES}.",
            hint="Make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'",
            id="instant.W001",
        )
    for name in conf.differences():
        yield Warning(
            f"{name} differs from {current.config_file}.",
            hint="“manage.py runws” starts the server with Django's value; a server that is "
            "started otherwise refuses Django's tokens or requests.",
            id="instant.W002",
        )
    if "*" in current.allowed_origins:
        yield Warning(
            "Every origin may connect to the server.",
            hint='Name your own in INSTANT["ALLOWED_ORIGINS"].',
            id="instant.W003",
        )
    second = next((app for app in _SECOND_FACTORS if app in settings.INSTALLED_APPS), None)
    if current.login and second is not None:
        yield Warning(
            f"login/ of Instant asks for user name and password only, and {second} is installed.",
            hint='Set INSTANT = {"LOGIN": False}; pages then use the session of the site\'s login.',
            id="instant.W004",
        )


def _namespaces() -> Iterator[CheckMessage]:
    by_name: dict[str, list[str]] = {}
    for cls in registered():
        for problem in cls.problems():
            yield Error(problem, obj=cls, id="instant.E003")
        name = getattr(cls, "name", None)
        if isinstance(name, str):
            by_name.setdefault(name, []).append(f"{cls.__module__}.{cls.__qualname__}")
    for name, claimants in by_name.items():
        if len(claimants) > 1:
            yield Error(
                f"The namespace {name!r} is declared by {' and by '.join(claimants)}.",
                hint="Give each a name of its own.",
                id="instant.E003",
            )


def _drift(current: conf.Conf) -> Iterator[CheckMessage]:
    """Compare a config that is there; a project without one has nothing to be in line."""
    try:
        there = current.config_file.exists()
        drifted = there and compare(current).changed
    except (InstantConfigError, OSError):  # told when it is needed, with the remedy
        return
    if drifted:
        yield Warning(
            f"{current.config_file} is not in line with the settings and the apps' realtime.py.",
            hint="“manage.py syncws --check” shows how, “manage.py syncws” writes it.",
            id="instant.W005",
        )
