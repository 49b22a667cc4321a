"""What every “manage.py check” looks at: settings, namespaces and the server's config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.config.file import open_to_others, read_config
from instant.centrifugo.config.known_faults import exposing
from instant.centrifugo.config.namespaces import without_presence
from instant.channels.declared import conflicts, declared_channels
from instant.channels.names import check_row_name
from instant.checks.broadcasts import broadcasts
from instant.checks.engine import engine
from instant.checks.gateway import gateway
from instant.checks.handlers import handlers
from instant.checks.notifications import notifications
from instant.checks.outbox import outbox
from instant.checks.pages import pages
from instant.checks.queues import queues
from instant.checks.stored import stored
from instant.checks.tenants import tenants
from instant.conf import isolation
from instant.exceptions import InstantConfigError, InvalidChannelName
from instant.namespaces import registered, row_namespaces
from instant.revoking.receivers import depends_on
from instant.rights import credentials
from instant.schemas import events
from instant.server import proxy_urls
from instant.server.sync import compare

__all__ = ["check_settings"]

_KEY_BYTES = 32
"""RFC 7518, section 3.2: the key must be at least as long as the hash."""

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
    yield from broadcasts()
    yield from handlers()
    yield from gateway(current)
    yield from _proxies(current)
    yield from _drift(current)
    yield from _config(current)
    yield from pages(current)
    yield from tenants(current)
    yield from engine(current)
    yield from outbox(current)
    yield from notifications(current)
    yield from queues(current)
    yield from stored(current)
    try:
        get_backend()
    except InstantConfigError as exc:
        yield Error(str(exc), id="instant.E002")
    try:
        credentials.authenticators(current.authentication)
    except InstantConfigError as exc:
        yield Error(str(exc), id="instant.E001")
    try:
        length = len(current.hmac_key.encode())
    except InstantConfigError:
        length = _KEY_BYTES  # a fresh project: installws or runws will write one
    if length < _KEY_BYTES:
        yield Warning(
            f"The HMAC key has {length} bytes; HS256 needs at least {_KEY_BYTES}.",
            hint="Make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'",
            id="instant.W001",
        )
    for name in conf.differences(current):
        yield Warning(
            f"{name} differs from {current.config_file}.",
            hint="“manage.py runws” starts the server with Django's value; a server that is "
            "started in another way refuses Django's tokens or requests.",
            id="instant.W002",
        )
    if "*" in current.allowed_origins:
        yield Warning(
            "Every origin may connect to the server.",
            hint='List your own origins in INSTANT["ALLOWED_ORIGINS"].',
            id="instant.W003",
        )
    told = settings.DEBUG or current.allowed_origins_given or settings.CSRF_TRUSTED_ORIGINS
    if "*" in settings.ALLOWED_HOSTS and not told:
        yield Warning(
            "ALLOWED_HOSTS has “*”: which pages may connect to the server can't be told from it.",
            hint='List your own origins in INSTANT["ALLOWED_ORIGINS"].',
            id="instant.W014",
        )
    second = next((app for app in _SECOND_FACTORS if app in settings.INSTALLED_APPS), None)
    if current.login and second is not None:
        yield Warning(
            f"Instant's login/ asks for user name and password only, but {second} is installed.",
            hint='Set INSTANT["LOGIN"] = False; pages then use the session of the site\'s login.',
            id="instant.W004",
        )


def _namespaces() -> Iterator[CheckMessage]:
    by_name: dict[str, list[str]] = {}
    for cls in registered():
        for problem in (*cls.problems(), *depends_on.problems(cls), *events.problems(cls)):
            yield Error(problem, obj=cls, id="instant.E003")
        name = getattr(cls, "name", None)
        if isinstance(name, str):
            by_name.setdefault(name, []).append(f"{cls.__module__}.{cls.__qualname__}")
    for name, claimants in by_name.items():
        if len(claimants) > 1:
            ours = any(place.startswith("instant.") for place in claimants)
            yield Error(
                f"The namespace {name!r} is declared by {' and by '.join(claimants)}.",
                hint=f"Instant has {name!r} for channels of its own. Take another name."
                if ours
                else "Give each namespace a different name.",
                id="instant.E003",
            )

    for name, places in conflicts():
        yield Error(
            f"The channel {name!r} is declared in {' and in '.join(places)}.",
            hint="Declare it once.",
            id="instant.E017",
        )
    for one in declared_channels():
        try:
            check_row_name(one.name, row_namespaces())
        except InvalidChannelName as exc:
            yield Error(f"channel(), {one.place}: {exc}", id="instant.E017")


def _proxies(current: conf.Conf) -> Iterator[CheckMessage]:
    try:
        urls = proxy_urls.urls(current)
    except InstantConfigError as exc:
        yield Error(str(exc), id="instant.E004")
        return
    for problem, remedy in proxy_urls.obstacles(urls) if urls else ():
        yield Warning(problem, hint=remedy, id="instant.W007")


def _config(current: conf.Conf) -> Iterator[CheckMessage]:
    """Look for what somebody has switched off or on in the server's file, to their harm."""
    try:
        config = read_config(current.config_file) or {}
    except InstantConfigError:  # told when it is needed, with the remedy
        return
    for problem in open_to_others(current.config_file):
        yield Warning(
            f"{problem}, and the keys of the server are there.",
            hint=f"chmod 600 {current.config_file} && chmod 700 {current.dir}. If others may "
            "have read the keys, move the file away and run “manage.py installws” for new ones.",
            id="instant.W012",
        )
    without = without_presence(config)
    if without:
        yield Warning(
            f"Presence is off for {' and '.join(without)} in {current.config_file}: when a channel "
            f"changes its level or its groups, nobody is unsubscribed there.",
            hint='Set "presence": true there, and reload the server.',
            id="instant.W008",
        )
    exposed = list(exposing(config))
    if exposed:
        yield Warning(
            f"{' and '.join(exposed)} in {current.config_file}: one malformed request of any "
            f"client ends Centrifugo 6.9.1.",
            hint="Switch it off. To let everybody subscribe, declare the namespace in a "
            'realtime.py with authorize = "open". If your server is a newer one that bears it, '
            'or the embedded one, silence this: SILENCED_SYSTEM_CHECKS = ["instant.W011"].',
            id="instant.W011",
        )


def _drift(current: conf.Conf) -> Iterator[CheckMessage]:
    """Compare the config with the declarations, if there is a config yet."""
    if isolation.hides_backend():  # the config is for that one
        return
    try:
        there = current.config_file.exists()
        drifted = there and compare(current).changed
    except (InstantConfigError, OSError):  # whoever needs the file says so, with the remedy
        return
    if drifted:
        yield Warning(
            f"{current.config_file} differs from the settings and the apps' realtime.py.",
            hint="“manage.py syncws --check” shows the difference, “manage.py syncws” updates the "
            "file.",
            id="instant.W005",
        )
