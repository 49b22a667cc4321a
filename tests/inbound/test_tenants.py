"""Whose tenant a call is."""

import pytest
from django.test import override_settings

from instant import on_rpc
from instant.tenancy import current as tenancy
from tests.inbound.asking import DENIED, SECRET, call, error
from tests.inbound.test_proxy import acall

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.fixture(autouse=True)
def _tenants():
    with override_settings(
        CENTRIFUGO_PROXY_SECRET=SECRET, INSTANT={"TENANT": "tests.inbound.tenants.Tenants"}
    ):
        yield


@pytest.fixture(autouse=True)
def _declared(registry):
    @on_rpc("sync", anonymous=True)
    def sync(call):
        return [tenancy.current(), call.user.username, dict(call.meta)]

    @on_rpc("async", anonymous=True)
    async def asynchronous(call):
        return [await tenancy.acurrent(), (await call.auser()).username, dict(call.meta)]


@pytest.mark.parametrize("method", ["sync", "async"])
def test_it_is_the_users(make_user, method):
    ann = make_user("ann")
    assert call(f"acme/{ann.pk}", method) == {"result": {"data": ["acme", "ann", {}]}}
    assert call(str(ann.pk), method) == {"result": {"data": ["", "ann", {}]}}
    for subject in (f"nobody/{ann.pk}", f"a b/{ann.pk}"):
        assert call(subject, method) == DENIED
    assert tenancy.current() == ""


@pytest.mark.parametrize("method", ["sync", "async"])
def test_a_visitors_is_the_signed_one(method):
    meta = {"instant:tenant": "globex", "device": 7}
    assert call("", method, meta=meta) == {"result": {"data": ["globex", "", {"device": 7}]}}
    assert call("", method, meta={"instant:tenant": "other"}) == DENIED


@pytest.mark.parametrize("meta", [{}, {"instant:tenant": 7}, {"tenant": "acme"}])
def test_a_visitor_of_nobody_knows_which_tenant_logs_in_first(meta):
    assert call("", "sync", meta=meta) == error(401, "log in first")


def test_the_subject_counts_more_than_the_meta(make_user):
    answer = call(f"acme/{make_user().pk}", "sync", meta={"instant:tenant": "globex"})
    assert answer["result"]["data"][0] == "acme"


async def test_under_asgi_too(in_threads):
    answer = await acall("", "async", meta={"instant:tenant": "acme"})
    assert answer["result"]["data"] == ["acme", "", {}]
    assert tenancy.current() == ""
