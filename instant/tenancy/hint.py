"""What to do where something was asked in the shared part of a site with tenants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from instant.exceptions import InstantConfigError
from instant.tenancy import current as tenancy

__all__ = ["naming_the_tenant"]


@contextmanager
def naming_the_tenant() -> Iterator[None]:
    """Raise InstantConfigError instead of a database's error where no tenant was active."""
    try:
        yield
    except DatabaseError as exc:
        if not tenancy.are_used() or tenancy.current():
            raise
        raise InstantConfigError(
            "No tenant is active, and the shared part of the site has no such tables. With "
            "django-tenants: “manage.py tenant_command COMMAND --schema=NAME …”."
        ) from exc
