"""
The pytest plugin: loaded by itself wherever Instant and pytest are installed.

It makes ``locmem`` the backend, so that no test reaches the network unless it names another
backend itself, lets no thread enforce rights, and offers the fixtures ``publications`` and
``instant_server``. It does nothing in a project without Django settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from instant.testing import CapturedPublications, InstantServer

_LOCMEM = "instant.backends.locmem.LocmemBackend"


@pytest.fixture(autouse=True, scope="session")
def _instant_locmem() -> Iterator[None]:
    """Replace the backend of the settings, and the default for tests that override them."""
    from django.conf import settings  # noqa: PLC0415  the plugin is loaded by every pytest

    if not settings.configured and not _has_settings():
        yield
        return
    from django.apps import apps  # noqa: PLC0415

    if not apps.ready or not apps.is_installed("instant"):
        yield
        return
    from django.test import override_settings  # noqa: PLC0415

    from instant.conf import keys  # noqa: PLC0415

    given: dict[str, Any] = getattr(settings, "INSTANT", None) or {}
    default = keys.DEFAULTS["BACKEND"]
    keys.DEFAULTS["BACKEND"] = _LOCMEM
    # Where a test names another backend after all: a thread would meet the test's database.
    keys.DEFAULTS["ENFORCE_IN_BACKGROUND"] = False
    with override_settings(INSTANT={**given, "BACKEND": _LOCMEM}):
        yield
    keys.DEFAULTS["BACKEND"] = default
    keys.DEFAULTS["ENFORCE_IN_BACKGROUND"] = True


def _has_settings() -> bool:
    import os  # noqa: PLC0415

    return bool(os.environ.get("DJANGO_SETTINGS_MODULE"))


@pytest.fixture
def instant_server() -> Iterator[InstantServer]:
    """Run a server for the test; see instant.testing.instant_server()."""
    from instant.testing import instant_server as run  # noqa: PLC0415  needs settings

    with run() as server:
        yield server


@pytest.fixture
def publications() -> Iterator[CapturedPublications]:
    """Capture what the test publishes; see instant.testing.capture_publications()."""
    from instant.testing import capture_publications  # noqa: PLC0415  needs settings

    with capture_publications() as captured:
        yield captured
