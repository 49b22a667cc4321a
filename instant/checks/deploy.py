"""What only “manage.py check --deploy” looks at: of no interest before there is production."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004
from django.db import connections

from instant import conf
from instant.exceptions import InstantConfigError
from instant.inbound import registry
from instant.revoking import ledger
from instant.revoking.affected import has_rules

__all__ = [
    "check_autostart",
    "check_enforcement",
    "check_lite",
    "check_policies",
    "check_throttle",
]

_OF_ONE_PROCESS = ("locmem.LocMemCache", "dummy.DummyCache")
_MANY_ENTRIES = 10_000
"""Django's database and file caches drop arbitrary entries when full; by default they hold 300."""

_OTHERS = (
    f'Use Redis, Memcached, or the database with OPTIONS = {{"MAX_ENTRIES": {_MANY_ENTRIES}}}.'
)

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


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
    problem = _problem_with(alias)
    if problem is None:
        return []
    return [
        Warning(
            f"INSTANT['THROTTLE'] counts failed logins in the cache {alias!r}, but {problem}.",
            hint=f'{_OTHERS} INSTANT["THROTTLE"] = {{"CACHE": "…"}} selects another cache '
            "of CACHES.",
            id="instant.W006",
        )
    ]


@register(Tags.caches, deploy=True)
def check_policies(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  Django's signature
    **_kwargs: Any,
) -> list[CheckMessage]:
    """Check that what handlers' policies count and keep is there for all processes."""
    try:
        alias = conf.current().cache
    except InstantConfigError:  # instant.E001
        return []
    used = [h.name for h in registry.handlers() if any(p.uses_cache for p in h.policies)]
    problem = _problem_with(alias) or _problem_of_transactions(alias)
    if problem is None or not used or settings.DEBUG:
        return []
    return [
        Warning(
            f"rate=, cache= and once= of {', '.join(map(repr, used[:3]))}"
            f"{' and others' if len(used) > 3 else ''} use the cache {alias!r}, but {problem}.",  # noqa: PLR2004  as many as are named
            hint=f'{_OTHERS} INSTANT["CACHE"] = "…" selects another cache of CACHES.',
            id="instant.W019",
        )
    ]


@register(Tags.caches, deploy=True)
def check_lite(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  Django's signature
    **_kwargs: Any,
) -> list[CheckMessage]:
    """Check that whoever the server asks about a ticket knows it."""
    try:
        current = conf.current()
    except InstantConfigError:  # instant.E001
        return []
    problem = _problem_with(current.cache)
    if problem is None or not current.lite or settings.DEBUG:
        return []
    return [
        Warning(
            f"Tickets of the lite script are in the cache {current.cache!r}, but {problem}. "
            "Browsers that need a ticket, since they can't read a stream, hear nothing.",
            hint=f'{_OTHERS} INSTANT["CACHE"] = "…" selects another cache of CACHES.',
            id="instant.W029",
        )
    ]


def _problem_of_transactions(alias: str) -> str | None:
    """Return why a cache in the database is none for calls that are transactions."""
    atomic = any(database.get("ATOMIC_REQUESTS") for database in settings.DATABASES.values())
    if not atomic or not settings.CACHES[alias].get("BACKEND", "").endswith(".DatabaseCache"):
        return None
    return (
        "with ATOMIC_REQUESTS what is written there is rolled back where a call is refused, and "
        "calls wait for each other's end"
    )


def _problem_with(alias: str) -> str | None:
    """Return why several processes can't count or remember in a cache."""
    options = settings.CACHES[alias]
    backend = options.get("BACKEND", "")
    if backend.startswith("django.") and backend.endswith(_OF_ONE_PROCESS):
        return "with it each process counts for itself, or not at all"
    if not backend.endswith((".DatabaseCache", ".FileBasedCache")):
        return None
    if _entries(options) < _MANY_ENTRIES:
        return f"it holds only {_entries(options)} entries, so that others push the count out"
    if backend.endswith(".FileBasedCache"):
        return "two processes may get the same place in it at the same moment"
    return None


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
    if current.engine is not None and current.engine.is_shared:
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
            hint="With several hosts, let their servers share an INSTANT['ENGINE']; or set "
            "AUTOSTART to False, run one server (“manage.py runws”), and set CENTRIFUGO_HOST to "
            "its address. With one, silence this check.",
            id="instant.W013",
        )
    ]


def _entries(options: dict[str, Any]) -> int:
    given = options.get("OPTIONS", {}).get("MAX_ENTRIES", options.get("MAX_ENTRIES", 300))
    return given if isinstance(given, int) else 300
