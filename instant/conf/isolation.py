"""
Test runs reach nothing, whoever runs them and whatever the settings say.

As Django's ``setup_test_environment()`` does for mail: publications stay in this process, and no
thread of ours starts. What a test overrides counts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

from django.conf import Settings, UserSettingsHolder, settings
from django.core.signals import setting_changed

from instant.conf.keys import DEFAULTS

__all__ = [
    "begin",
    "begin_with_command",
    "end",
    "hides_backend",
    "is_test_run",
    "notice",
    "spare_key",
]

_IN_TESTS: Mapping[str, Any] = {
    "BACKEND": "instant.backends.locmem.LocmemBackend",
    "ENFORCE_IN_BACKGROUND": False,  # a thread would meet the test's database
}

_noticed = False
_before: dict[str, Any] | None = None
"""What begin() has replaced: defaults, and settings where there were some."""


def notice() -> None:
    """Begin or end with Django's test environment; for publish(), which asks each time."""
    global _noticed  # noqa: PLW0603  a test run belongs to the process
    if _is_test_environment() is not _noticed:
        _noticed = not _noticed
        if _noticed:
            begin()
        else:
            end()


def is_test_run() -> bool:
    """Tell whether this is a test run."""
    notice()
    return _noticed


def _is_test_environment() -> bool:
    """
    Tell whether Django's setup_test_environment() was called.

    By its own sign: a ``mail.outbox`` may also come from the locmem backend of a site in use.
    """
    found = sys.modules.get("django.test.utils")
    return found is not None and hasattr(getattr(found, "_TestState", None), "saved_data")


def begin_with_command() -> None:
    """
    Begin where ``manage.py test`` is being run, before it imports the tests.

    Their decorators may copy the settings: ``@override_settings(INSTANT={**settings.INSTANT, …})``.
    """
    management = sys.modules.get("django.core.management")
    frame = sys._getframe()  # noqa: SLF001  who has set Django up
    while management is not None and frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is management.ManagementUtility.execute.__code__:
            if frame.f_locals.get("subcommand") == "test":
                begin()
            return


def begin() -> None:
    """Replace what the settings say, beneath whatever is overridden now; once is enough."""
    global _before  # noqa: PLW0603  see notice()
    if _before is not None:
        return
    _before = {"defaults": {key: DEFAULTS[key] for key in _IN_TESTS}, "key": token_hex(32)}
    DEFAULTS.update(_IN_TESTS)
    given = getattr(_own_settings(), "INSTANT", None)
    if given is None or isinstance(given, Mapping):  # else a check says what is wrong
        _before["settings"] = given
        _replace({**(given or {}), **_IN_TESTS})


def end() -> None:
    """Put back what begin() has replaced."""
    global _before
    if _before is not None:
        before, _before = _before, None
        DEFAULTS.update(before["defaults"])
        if "settings" in before:
            _replace(before["settings"])


def spare_key() -> str | None:
    """
    Return what signs tokens in a test run where the project has no key yet; else None.

    No server knows it. A checkout has no config.json, and a queued call or a page that connects
    would fail there, although nothing leaves the test run.
    """
    if _before is None or hasattr(settings, "CENTRIFUGO_HMAC_KEY"):
        return None
    return str(_before["key"])


def hides_backend() -> bool:
    """Tell whether a test run has replaced the backend that the project's settings name."""
    given = _before and _before.get("settings")
    return bool(given and given.get("BACKEND"))


def _own_settings() -> Any:
    """Return the project's settings, beneath those that are overridden."""
    settings.DEBUG  # noqa: B018  loads them
    holder: Any = vars(settings)["_wrapped"]  # Django has no other way to them
    while isinstance(
        beneath := getattr(holder, "default_settings", None), Settings | UserSettingsHolder
    ):
        holder = beneath
    return holder


def _replace(value: Mapping[str, Any] | None) -> None:
    holder = _own_settings()
    holder.INSTANT = value
    vars(settings).pop("INSTANT", None)  # what was read is kept there
    setting_changed.send(sender=type(holder), setting="INSTANT", value=settings.INSTANT, enter=True)
