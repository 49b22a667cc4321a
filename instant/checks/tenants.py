"""Tenants that share a server without its knowing of them."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from instant.conf import Conf
from instant.exceptions import InstantConfigError
from instant.tenancy import current as tenancy

__all__ = ["tenants"]

_APPS = ("django_tenants", "tenant_schemas", "django_pgschemas")
"""Apps whose tenants have users and channels of their own."""


def tenants(current: Conf) -> Iterator[CheckMessage]:
    """Yield what is wrong with the setting, or that there is none where an app has tenants."""
    if current.tenant is not None:
        try:
            tenancy.are_used()
        except InstantConfigError as exc:
            yield Error(str(exc), id="instant.E001")
        return
    found = [name for name in _APPS if _is_installed(name)]
    if not found:
        return
    ready = "instant.tenants.SchemaTenants"
    yield Warning(
        f"{found[0]} is installed, and Instant doesn't know of its tenants: what is published in "
        f"one reaches the channels and users of all others that have the same name or primary key.",
        hint=f'Set INSTANT["TENANT"] = "{ready}" and run “manage.py syncws”.'
        if found[0] == "django_tenants"
        else 'Set INSTANT["TENANT"] to a class of your own, see instant.tenants.Tenants, and run '
        "“manage.py syncws”.",
        id="instant.W015",
    )


def _is_installed(name: str) -> bool:
    return any(app == name or app.startswith(f"{name}.") for app in settings.INSTALLED_APPS)
