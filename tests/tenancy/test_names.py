"""What a tenant's channels and users are called on the server, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instant.channels.names import check_name
from instant.exceptions import InstantConfigError, InvalidChannelName
from instant.tenancy import current, wire
from tests.tenancy import fake

NAMES = [
    ("order:42", "order:acme/42"),
    ("$users", "$acme/users"),
    ("news", "acme/news"),
    ("user:7", "user:acme/7"),
    ("$order:x", "$order:acme/x"),
    ("order:a:b", "order:acme/a:b"),
    ("chat:$x", "chat:acme/$x"),
]


@pytest.mark.parametrize(("own", "on_server"), NAMES)
def test_the_tenant_stands_behind_the_namespace(own, on_server):
    assert wire.channel("acme", own) == on_server
    assert wire.split(on_server) == ("acme", own)
    assert wire.channel("", own) == own
    assert wire.split(own) == ("", own)


own_names = st.from_regex(r"\$?(?:[a-z]{2,5}:)?[!-~]{1,12}", fullmatch=True).filter(
    lambda name: not _is_refused(name)
)
tenants = st.from_regex(r"[-A-Za-z0-9_.]{1,12}", fullmatch=True)


def _is_refused(name):
    try:
        check_name(name)
    except InvalidChannelName:
        return True
    return False


@given(tenants, own_names)
def test_any_name_comes_back(tenant, name):
    assert wire.split(wire.channel(tenant, name)) == (tenant, name)


@given(st.text(alphabet="ab:/$", max_size=9))
def test_what_has_no_such_name_is_nobodys(name):
    """A client may ask for anything: no two names are one channel."""
    tenant, own = wire.split(name)
    assert wire.channel(tenant, own) == name
    if "/" in own:
        assert _is_refused(own)


@pytest.mark.parametrize("name", ["/x", "order:/42", "a/b/c", "order:x:acme/1", "$/x"])
def test_a_made_up_name_is_not_another_channels(name):
    tenant, own = wire.split(name)
    assert _is_refused(own) or not current.is_name(tenant)


@given(tenants, st.text("a/7", min_size=1, max_size=5) | st.text(min_size=1, max_size=12))
def test_a_user_with_a_tenant_is_never_one_without(tenant, key):
    """Whatever a primary key looks like: somebody may choose it."""
    assert wire.split_subject(wire.subject(tenant, key)) == (tenant, key)
    assert wire.split_subject(wire.subject("", key)) == ("", key)


def test_anonymous_visitors_have_no_tenant():
    assert wire.subject("acme", "") == wire.subject("", "") == ""


@pytest.mark.parametrize(
    "name", ["a/b", "a:b", "$a", "a#b", "a,b", "a*", "a b", "grün", "", "x" * 64, 7, None]
)
def test_a_name_that_would_not_do_is_refused(tenants, monkeypatch, name):
    if name == "":
        assert current.current() == ""
        return
    monkeypatch.setattr(fake.ContextTenants, "current", lambda self: name)
    with pytest.raises(InstantConfigError, match="letters, digits"):
        current.current()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("tests.tenancy.fake.Missing", "Missing"),
        ("tests.tenancy.fake.WithoutAll", "needs current"),
    ],
)
def test_what_is_no_class_of_tenants_is_refused(settings, path, problem):
    settings.INSTANT = {**settings.INSTANT, "TENANT": path}
    with pytest.raises(InstantConfigError, match=problem):
        current.current()


def test_an_instance_will_do(settings):
    settings.INSTANT = {**settings.INSTANT, "TENANT": "tests.tenancy.fake.instance"}
    with fake.instance.activate("acme"):
        assert current.current() == "acme"


def test_without_tenants_nothing_has_one():
    assert not current.are_used()
    assert current.current() == ""
    assert current.tenants is None
    assert list(current.every()) == [""]
    assert current.to_wire("order:42") == "order:42"
    assert current.from_wire("order:acme/42") == "order:acme/42"


def test_only_its_own_name_is_taken_from_a_page(tenants):
    with tenants.activate("acme"):
        assert current.from_wire("order:acme/42") == "order:42"
        assert current.from_wire("order:globex/42") == "order:globex/42"
        assert current.from_wire("order:42") == "order:42"


async def test_async_code_asks_where_the_connections_are(tenants):
    with tenants.activate("acme"):
        assert await current.acurrent() == "acme"
