"""``rate="20/m"``: who is counted together, and what others are told."""

import pytest
from django.test import override_settings

from instant import on_publish, on_rpc
from instant.inbound.policies.rate import RateLimit
from instant.inbound.registry import handlers
from tests.inbound.policies.asking import ANN, BOB, NOBODY, refused


def passed(ask, function, **more):
    """Call till it is refused; return how often that was possible."""
    for count in range(50):
        try:
            ask(function, **more)
        except Exception:
            return count
    return 50


def handler(**options):
    @on_rpc("x", anonymous=True, **options)
    def function(call):
        return "in"

    return function


def test_so_many_of_each_user(ask):
    function = handler(rate="3/m")
    assert passed(ask, function, client="a") == 3
    found = refused(ask, function, client="b")
    assert (found.code, found.temporary) == (429, True)
    assert 1 <= found.retry_after <= 60
    assert found.message == f"too many calls; try again in {found.retry_after} s"
    assert passed(ask, function, user=BOB) == 3


def test_visitors_are_their_connection_or_else_their_address(ask):
    function = handler(rate="3/m")
    assert passed(ask, function, user=NOBODY, client="a", address="192.0.2.1") == 3
    assert passed(ask, function, user=NOBODY, client="b", address="192.0.2.1") == 3
    assert passed(ask, function, user=NOBODY, address="192.0.2.1") == 3
    assert passed(ask, function, user=NOBODY, address="192.0.2.2") == 3
    assert passed(ask, function, user=NOBODY) == 3
    assert passed(ask, function, user=NOBODY) == 0


def test_per_connection_and_per_address(ask):
    by_client = handler(rate="3/m", per="client")
    assert passed(ask, by_client, client="a") == passed(ask, by_client, client="b") == 3
    assert passed(ask, by_client, client="a", user=BOB) == 0
    assert passed(ask, by_client, user=BOB) == 3


def test_per_address(ask):
    function = handler(rate="3/m", per="address")
    assert passed(ask, function, client="a", address="192.0.2.1") == 3
    assert passed(ask, function, client="b", address="192.0.2.1", user=BOB) == 0
    assert passed(ask, function, client="b", address="192.0.2.2") == 3
    assert passed(ask, function, client="b") == 3  # where it isn't known


def test_per_key_of_ones_own(ask):
    function = handler(rate="3/m", per=lambda call: call.data)
    assert passed(ask, function, data="a\0") == passed(ask, function, data="a") == 3
    assert passed(ask, function, data="ﷺ" * 5000) == 3
    assert passed(ask, function, data="a", user=BOB) == 0
    assert passed(ask, function, data=None) == 50  # isn't counted


def test_each_handler_counts_for_itself_whatever_the_method(ask):
    first = on_rpc("a.*", rate="3/m")(lambda call: "in")
    second = on_rpc("b", rate="3/m")(lambda call: "in")
    third = on_publish("b", rate="3/m")(lambda call: "in")
    assert [passed(ask, f) for f in (first, second, third)] == [3, 3, 3]


def test_a_cache_that_fails_limits_nothing(ask, caplog):
    function = handler(rate="3/m")
    for kind in ("Broken", "Forgetful"):
        caches = {"default": {"BACKEND": f"tests.views.test_login_throttle_counts.{kind}"}}
        with override_settings(CACHES=caches):
            assert passed(ask, function) == 50
        assert "calls of x are not limited" in caplog.text
        caplog.clear()


def test_ten_thousand_users(ask, memory):
    function = handler(rate="5/h")
    policy = handlers()[0].policies[0]
    for pk in range(10_000):
        call = type("Call", (), {"user": type(ANN)(pk=pk, is_authenticated=True, is_active=True)})
        policy._count(call, handlers()[0])
    assert len(memory._cache) == 10_000
    assert passed(ask, function) == 4


def test_what_cant_be_is_said_where_it_is_declared():
    for rate in ("20 per minute", "0/m", "5/0s", 20, "5/2d", "2000/m", ""):
        with pytest.raises(ValueError, match="A handler's rate must be like"):
            on_rpc("x", rate=rate)
    with pytest.raises(ValueError, match="“user”, “client”, “address” or a function, not 'ip'"):
        on_rpc("x", rate="5/m", per="ip")
    with pytest.raises(TypeError, match="with per= has rate= too"):
        on_rpc("x", per="user")

    async def key(call):
        return 1

    assert RateLimit("1/m", key).problems(None)
    assert str(RateLimit("5/10s")) == "rate=5/10s per user"
    assert str(RateLimit("5/10s", len)) == "rate=5/10s per key"
