"""
The pytest plugin: loaded by itself wherever Instant and pytest are installed.

It keeps test runs from the network, also without pytest-django (with it, and in ``manage.py test``,
the app does that by itself), and offers the fixtures ``publications`` and ``instant_server``. It
does nothing in a project without Django settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from instant.testing import CapturedPublications, InstantServer


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Let the run reach nothing, before its modules copy the settings."""
    _begin()


@pytest.fixture(autouse=True, scope="session")
def _instant_reaches_nothing() -> Iterator[None]:
    """Do the same where Django was set up by the tests themselves, and end it with them."""
    if _begin():
        yield
        from instant.conf import isolation  # noqa: PLC0415  see _begin()

        isolation.end()
    else:
        yield


def _begin() -> bool:
    """Replace the backend of the settings, if there is a project with Instant; tell whether."""
    from django.conf import settings  # noqa: PLC0415  the plugin is loaded by every pytest

    if not settings.configured and not _has_settings():
        return False
    from django.apps import apps  # noqa: PLC0415

    if not apps.ready or not apps.is_installed("instant"):
        return False
    from instant.conf import isolation  # noqa: PLC0415  it needs settings

    isolation.begin()
    return True


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
