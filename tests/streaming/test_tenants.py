"""Two tenants, whose channels have the same names."""

import pytest

from instant.models import Stream
from instant.streams import cancel, collect, read, stream
from instant.tenancy import current as tenancy
from tests.streaming.conftest import abandoned
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db


def test_each_has_its_own(tenants, captured):  # noqa: F811
    for name in ("acme", "globex"):
        with tenancy.activate(name), stream("answer:1") as out:
            out.write(f"of {name}")
    for name in ("acme", "globex"):
        with tenancy.activate(name):
            assert read("answer:1") == (f"of {name}", "done")
    with tenancy.activate("acme"):
        abandoned()
    with tenancy.activate("globex"):
        assert not cancel("answer:1")
        assert read("answer:1") == ("of globex", "done")
    assert collect() == (1, 0)
    with tenancy.activate("acme"):
        assert read("answer:1") == ("Half", "interrupted")
    assert Stream.objects.count() == 2
