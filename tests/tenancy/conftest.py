"""A site with tenants."""

import pytest

from tests.revoking.conftest import client, committed  # noqa: F401  a server that notes what it is told
from tests.tenancy import fake


@pytest.fixture
def tenants(settings):
    settings.INSTANT = {**settings.INSTANT, "TENANT": "tests.tenancy.fake.ContextTenants"}
    settings.MIDDLEWARE = ["tests.tenancy.fake.FromHeader", *settings.MIDDLEWARE]
    yield fake.instance
    assert fake.CURRENT.get() == ""
