"""Tenants: one site for several customers, whose users and channels never meet on the server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, runtime_checkable

from django.apps import apps
from django.conf import settings
from django.db import connections
from django.utils.asyncio import async_unsafe

__all__ = ["SchemaTenants", "Tenants"]


@runtime_checkable
class Tenants(Protocol):
    """
    What ``INSTANT["TENANT"]`` names: a class of such, or an instance.

    A tenant's name has at most 63 of letters, digits, ``-``, ``_`` and ``.``. What no tenant has
    of its own, the shared part of a site, is the tenant ``""``.
    """

    def current(self) -> str:
        """Return the tenant whose data the current context sees; makes no query."""
        ...

    def all(self) -> Iterable[str]:
        """Return all tenants; ``""`` among them where the shared part has Instant's tables."""
        ...

    def activate(self, name: str) -> AbstractContextManager[Any]:
        """
        Return a context manager in whose body the tenant is the current one.

        Raises LookupError, then or when it is entered, where there is no such tenant.
        """
        ...


class SchemaTenants:
    """The tenants of django-tenants: each has a schema of PostgreSQL, ``public`` is shared."""

    @async_unsafe(
        "Which tenant it is says a database connection, and the event loop has none of the "
        "request's: call it with sync_to_async()."
    )
    def current(self) -> str:
        """See Tenants."""
        found = str(self._connection().schema_name)
        return "" if found == self._public() else found

    def all(self) -> Iterable[str]:
        """See Tenants; one query."""
        if self._is_shared():
            yield ""
        names = self._tenants().values_list("schema_name", flat=True).order_by("schema_name")
        yield from [name for name in names if name != self._public()]

    @contextmanager
    def activate(self, name: str) -> Iterator[None]:
        """See Tenants; one query, since PostgreSQL takes the name of any schema, there or not."""
        connection = self._connection()
        before = connection.tenant
        tenant = self._tenants().filter(schema_name=name or self._public()).first()
        if tenant is None and name:
            raise LookupError(f"There is no tenant {name!r}.")
        if tenant is None:  # nobody has to make a row for what is shared
            connection.set_schema_to_public()
        else:
            connection.set_tenant(tenant)
        try:
            yield
        finally:
            connection.set_tenant(before)

    def _connection(self) -> Any:
        return connections[getattr(settings, "TENANT_DB_ALIAS", "default")]

    def _tenants(self) -> Any:
        model = apps.get_model(getattr(settings, "TENANT_MODEL"))  # noqa: B009  no setting of Django's
        return model._base_manager.using(getattr(settings, "TENANT_DB_ALIAS", "default"))  # noqa: SLF001

    def _public(self) -> str:
        return str(getattr(settings, "PUBLIC_SCHEMA_NAME", "public"))

    def _is_shared(self) -> bool:
        """Tell whether the schema ``public`` has Instant's tables too."""
        types = getattr(settings, "TENANT_TYPES", {}).get(self._public(), {})
        shared = {*getattr(settings, "SHARED_APPS", ()), *types.get("APPS", ())}
        return not {"instant", "instant.apps.InstantConfig"}.isdisjoint(shared)
