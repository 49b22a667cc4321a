"""Policies of calls that come through a server."""

import pytest
from django.core.cache import caches

from instant import on_rpc
from instant.inbound import connection_limit
from instant.rights.tokens import Signer
from tests.live.subscriber import Subscriber
from tests.live.test_proxies import connect, start  # noqa: F401  fixtures
from tests.real_server import KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _counted_anew(monkeypatch):
    caches["default"].clear()
    monkeypatch.setattr(connection_limit, "_connections", connection_limit._Connections())


@pytest.fixture
def declared(registry):
    @on_rpc("here", anonymous=True, rate="2/m", per="address")
    def here(call):
        return call.address

    @on_rpc("limited", rate="2/m")
    def limited(call):
        return "in"


@pytest.fixture
def opened(anonymous):
    """Connections with a header that a proxy has written."""
    pages = []

    def opened(server, forwarded):
        page = Subscriber(server.url, headers={"X-Forwarded-For": forwarded} if forwarded else {})
        pages.append(page)
        assert "connect" in page.connect(Signer(anonymous).connection_token().value)
        return page

    yield opened
    for page in pages:
        page.close()


def call(page, method):
    reply = page.ask(rpc={"method": method, "data": {}})
    return reply["error"] if "error" in reply else reply["rpc"]["data"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_counts_by_its_address_behind_a_proxy(start, opened, kind):  # noqa: F811
    server = start(kind, TRUSTED_PROXIES=["10.0.0.0/8"])
    first, second = (opened(server, f"6.6.6.{n}, 198.51.100.1, 10.0.0.9") for n in (1, 2))
    other = opened(server, "198.51.100.2")
    assert call(first, "here") == call(second, "here") == "198.51.100.1"
    error = call(first, "here")
    assert error["code"] == 429
    assert error["temporary"] is True
    assert error["message"].startswith("too many calls; try again in ")
    assert call(second, "here")["code"] == 429
    assert call(other, "here") == "198.51.100.2"
    without = opened(server, None)
    assert [call(without, "here"), call(without, "here")] == ["", ""]
    assert call(without, "here")["code"] == 429  # it is its connection


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_believes_a_page_without_a_proxy(start, opened, kind):  # noqa: F811
    server = start(kind)
    assert call(opened(server, "198.51.100.1"), "here") == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_has_one_limit_on_all_connections(start, connect, make_user, kind):  # noqa: F811
    server = start(kind, CALLS="5/m")
    ann = make_user("ann")
    pages = [connect(server, ann) for _ in range(3)]
    assert [call(page, "limited") for page in pages[:2]] == ["in", "in"]
    assert call(pages[2], "limited")["code"] == 429
    # And a connection has one for all methods, whether there are such or not.
    codes = [call(pages[2], "nothing")["code"] for _ in range(6)]
    assert codes == [404] * 4 + [429] * 2
