"""SchemaTenants, without PostgreSQL; tests/live/test_schema_tenants.py has both."""

from types import SimpleNamespace

import pytest
from django.core.exceptions import SynchronousOnlyOperation

from instant import tenants
from instant.tenants import SchemaTenants, Tenants


class Connection:
    def __init__(self):
        self.set_schema_to_public()

    def set_tenant(self, tenant):
        self.tenant, self.schema_name = tenant, tenant.schema_name

    def set_schema_to_public(self):
        self.set_tenant(SimpleNamespace(schema_name="public", is_made_up=True))


class Rows(list):
    def filter(self, schema_name):
        return Rows(row for row in self if row.schema_name == schema_name)

    def first(self):
        return self[0] if self else None

    def values_list(self, *_names, **_options):
        return Rows(row.schema_name for row in self)

    def order_by(self, _name):
        return sorted(self)


@pytest.fixture
def connection(monkeypatch, settings):
    found = Connection()
    rows = Rows(SimpleNamespace(schema_name=name) for name in ("globex", "public", "acme"))
    monkeypatch.setattr(tenants, "connections", {"default": found})
    monkeypatch.setattr(SchemaTenants, "_tenants", lambda self: rows)
    settings.SHARED_APPS = ["django_tenants"]
    return found


def test_it_has_the_contract():
    assert isinstance(SchemaTenants(), Tenants)


def test_the_schema_is_the_tenant_and_public_none(connection):
    site = SchemaTenants()
    assert site.current() == ""
    with site.activate("acme"):
        assert site.current() == "acme"
        assert not hasattr(connection.tenant, "is_made_up")  # what a project asks it for is there
        with site.activate(""):
            assert site.current() == ""
        assert site.current() == "acme"
    assert site.current() == ""


def test_one_that_is_not_there_is_refused(connection):
    """PostgreSQL would look into the schema “public” instead."""
    with pytest.raises(LookupError, match="nosuch"):
        SchemaTenants().activate("nosuch").__enter__()
    assert connection.schema_name == "public"


def test_what_is_shared_needs_no_row(connection, monkeypatch):
    monkeypatch.setattr(SchemaTenants, "_tenants", lambda self: Rows())
    connection.set_tenant(SimpleNamespace(schema_name="acme"))
    with SchemaTenants().activate(""):
        assert connection.schema_name == "public"
    assert connection.schema_name == "acme"


@pytest.mark.parametrize(
    ("apps", "types", "shared"),
    [
        (["django_tenants"], {}, False),
        (["instant"], {}, True),
        (["instant.apps.InstantConfig"], {}, True),
        ([], {"public": {"APPS": ["instant"]}}, True),
        ([], {"other": {"APPS": ["instant"]}}, False),
    ],
)
def test_public_is_one_of_all_where_it_has_our_tables(connection, settings, apps, types, shared):
    settings.SHARED_APPS, settings.TENANT_TYPES = apps, types
    assert list(SchemaTenants().all()) == [*([""] if shared else []), "acme", "globex"]


def test_the_public_schema_may_have_another_name(connection, settings):
    settings.PUBLIC_SCHEMA_NAME = "acme"
    connection.set_tenant(SimpleNamespace(schema_name="acme"))
    assert SchemaTenants().current() == ""
    assert list(SchemaTenants().all()) == ["globex", "public"]


async def test_an_event_loop_has_no_tenant(connection):
    with pytest.raises(SynchronousOnlyOperation):
        SchemaTenants().current()
