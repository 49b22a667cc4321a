"""
System checks.

============ =======================================================================
instant.E001 a setting has a wrong value
instant.E002 the backend can't be imported
instant.E003 a namespace's declaration can't work, or two namespaces have one name
instant.E004 a namespace needs ``PROXY_URL``, and it isn't set
instant.W001 the HMAC key has fewer than 32 bytes
instant.W002 a setting or environment variable differs from the server's ``config.json``
instant.W003 pages of every origin may connect
instant.W004 ``login/`` would bypass the site's second factor
instant.W005 the server's config differs from the settings and the apps' ``realtime.py``
instant.W006 failed logins are counted in a cache that loses count (``check --deploy``)
instant.W007 Django would refuse or redirect what the server asks at ``PROXY_URL``
instant.W008 presence is off in the server's config, and revoking rights needs it
instant.W009 SQLite fails a request that reads and then writes beside another write
instant.W010 nobody looks for rights that end without a signal
instant.W011 an option in the server's config lets any client end Centrifugo 6.9.1
instant.W012 other users of the machine can read the server's config, or write to its folder
instant.W013 ``AUTOSTART`` and a database that other hosts may share (``check --deploy``)
instant.W014 ``ALLOWED_HOSTS`` has ``*``, from which no origins can be compiled
============ =======================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.db import connections

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.config.file import open_to_others, read_config
from instant.centrifugo.config.known_faults import exposing
from instant.centrifugo.config.namespaces import without_presence
from instant.exceptions import InstantConfigError
from instant.namespaces import registered
from instant.revoking import ledger
from instant.revoking.affected import has_rules
from instant.revoking.receivers import depends_on
from instant.server import proxy_urls
from instant.server.sync import compare
from instant.views import credentials

__all__ = ["check_autostart", "check_enforcement", "check_settings", "check_throttle"]

_KEY_BYTES = 32
"""RFC 7518, section 3.2: the key must be at least as long as the hash."""

_OF_ONE_PROCESS = ("locmem.LocMemCache", "dummy.DummyCache")
_MANY_ENTRIES = 10_000
"""Django's database and file caches drop arbitrary entries when full; by default they hold 300."""

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})

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


@register(Tags.security, deploy=True)
def check_enforcement(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  Django's signature
    **_kwargs: Any,
) -> list[CheckMessage]:
    """Check that rights that end are looked for; of no interest before there is production."""
    try:
        current = conf.current()
    except InstantConfigError:  # E001 says it
        return []
    if settings.DEBUG or not has_rules():
        return []
    return [*_sqlite(), *_sweep(current)]


def _sqlite() -> Iterator[CheckMessage]:
    alias = ledger.database()
    if connections[alias].vendor != "sqlite":
        return
    options = connections[alias].settings_dict.get("OPTIONS") or {}
    if str(options.get("transaction_mode", "")).upper() != "IMMEDIATE":
        yield Warning(
            f"The database {alias!r} is SQLite, where a transaction that reads and then writes "
            "fails at once with “database is locked” if anybody has written in between.",
            hint='DATABASES = {"default": {…, "OPTIONS": {"transaction_mode": "IMMEDIATE"}}} lets '
            "it wait instead.",
            id="instant.W009",
        )


def _sweep(current: conf.Conf) -> Iterator[CheckMessage]:
    if not current.enforces:
        problem = "INSTANT['ENFORCE'] is False: who loses a right stays in until it expires."
        remedy = "Leave it out."
    elif current.sweep is None:
        problem = "INSTANT['SWEEP'] is None: rights that end without a signal are never looked for."
        remedy = "Give it seconds, or have “manage.py enforce --sweep” run by cron."
    elif not current.enforces_in_background:
        problem = "INSTANT['ENFORCE_IN_BACKGROUND'] is False: no web process looks for what ended."
        remedy = "Let “manage.py runws” or “manage.py enforce --watch” run, and silence this."
    else:
        return
    yield Warning(problem, hint=remedy, id="instant.W010")


@register(Tags.security, deploy=True)
def check_throttle(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  Django's signature
    **_kwargs: Any,
) -> list[CheckMessage]:
    """Check that failed logins are counted; only relevant in production."""
    try:
        current = conf.current()
    except InstantConfigError:  # instant.E001
        return []
    if settings.DEBUG or not current.login or current.throttle is None:
        return []
    alias = current.throttle.cache
    options = settings.CACHES[alias]
    backend = options.get("BACKEND", "")
    if backend.startswith("django.") and backend.endswith(_OF_ONE_PROCESS):
        problem = "with it each process counts for itself, or not at all"
    elif backend.endswith((".DatabaseCache", ".FileBasedCache")) and _entries(options) < (
        _MANY_ENTRIES
    ):
        problem = (
            f"it holds only {_entries(options)} entries, so an attacker can push the count out"
        )
    else:
        return []
    return [
        Warning(
            f"INSTANT['THROTTLE'] counts failed logins in the cache {alias!r}, but {problem}.",
            hint="Use Redis, Memcached, or the database with OPTIONS = "
            f'{{"MAX_ENTRIES": {_MANY_ENTRIES}}}. INSTANT = {{"THROTTLE": {{"CACHE": "…"}}}} '
            "selects another cache of CACHES.",
            id="instant.W006",
        )
    ]


@register(Tags.security, deploy=True)
def check_autostart(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  Django's signature
    **_kwargs: Any,
) -> list[CheckMessage]:
    """Check that each host doesn't start a server of its own; only relevant in production."""
    try:
        current = conf.current()
    except InstantConfigError:  # instant.E001
        return []
    api = urlsplit(current.api_url).hostname
    if settings.DEBUG or not current.autostart or api not in _THIS_MACHINE:
        return []
    elsewhere = [
        f"{alias!r} is on {options.get('HOST')}"
        for alias, options in settings.DATABASES.items()
        if not str(options.get("HOST", "")).startswith("/")
        and options.get("HOST", "") not in {"", *_THIS_MACHINE}
    ]
    if not elsewhere:
        return []
    return [
        Warning(
            f"INSTANT['AUTOSTART'] starts a server on each host of the site, and the database "
            f"{' and '.join(elsewhere)}. With two hosts, pages on one would not receive what the "
            f"other publishes.",
            hint="With several hosts, set AUTOSTART to False, run one server (“manage.py runws”), "
            "and set CENTRIFUGO_HOST to its address. With one, silence this check.",
            id="instant.W013",
        )
    ]


def _entries(options: dict[str, Any]) -> int:
    given = options.get("OPTIONS", {}).get("MAX_ENTRIES", options.get("MAX_ENTRIES", 300))
    return given if isinstance(given, int) else 300


def _messages(current: conf.Conf) -> Iterator[CheckMessage]:
    yield from _namespaces()
    yield from _proxies(current)
    yield from _drift(current)
    yield from _config(current)
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
            hint='Set INSTANT = {"LOGIN": False}; pages then use the session of the site\'s login.',
            id="instant.W004",
        )


def _namespaces() -> Iterator[CheckMessage]:
    by_name: dict[str, list[str]] = {}
    for cls in registered():
        for problem in (*cls.problems(), *depends_on.problems(cls)):
            yield Error(problem, obj=cls, id="instant.E003")
        name = getattr(cls, "name", None)
        if isinstance(name, str):
            by_name.setdefault(name, []).append(f"{cls.__module__}.{cls.__qualname__}")
    for name, claimants in by_name.items():
        if len(claimants) > 1:
            yield Error(
                f"The namespace {name!r} is declared by {' and by '.join(claimants)}.",
                hint="Give each namespace a different name.",
                id="instant.E003",
            )


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
