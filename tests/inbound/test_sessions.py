"""``call.session``: that of the page, for handlers that ask, and only as long as it is the user's."""

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client, override_settings

from instant import on_publish, on_rpc
from tests.inbound.asking import SECRET, call, publish
from tests.inbound.test_proxy import room  # noqa: F401  a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield


def cookie_of(client):
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@pytest.fixture
def page(make_user):
    def page(user):
        client = Client()
        client.force_login(user)
        session = client.session
        session["cart"] = user.username
        session.save()
        return client

    return page


@pytest.fixture
def _declared(registry):
    @on_rpc("with", session=True, anonymous=True)
    def with_session(call):
        if call.session is None:
            return None
        return call.session.get("cart", "empty")

    @on_rpc("without", anonymous=True)
    def without(call):
        return [call.session is None, call.user.username]


def data(answer):
    return answer["result"]["data"]


@pytest.mark.usefixtures("_declared")
def test_it_is_for_handlers_that_ask(make_user, page):
    ann = make_user("ann")
    cookie = cookie_of(page(ann))
    assert data(call(ann, "with", cookie=cookie)) == "ann"
    assert data(call(ann, "without", cookie=cookie)) == [True, "ann"]


@pytest.mark.usefixtures("_declared")
def test_it_counts_only_where_its_user_is_the_connections(make_user, page):
    ann, bob = make_user("ann"), make_user("bob")
    cookie = cookie_of(page(bob))
    for user in (ann, ""):
        assert data(call(user, "with", cookie=cookie)) is None
    assert data(call(ann, "without", cookie=cookie)) == [True, "ann"]
    assert data(call("", "without", cookie=cookie)) == [True, ""]
    assert data(call(ann, "with")) is None  # a cookie that is gone


@pytest.mark.usefixtures("_declared")
def test_one_that_has_ended_is_none(make_user, page):
    ann = make_user("ann")
    client = page(ann)
    cookie = cookie_of(client)
    ann.set_password("another")
    ann.save()
    assert data(call(ann, "with", cookie=cookie)) is None
    client.logout()
    assert data(call(ann, "with", cookie=cookie)) is None


@pytest.mark.usefixtures("_declared")
def test_a_visitors_session_is_a_visitors(make_user):
    session = SessionStore()
    session["cart"] = "a visitor's"
    session.save()
    cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
    assert data(call("", "with", cookie=cookie)) == "a visitor's"
    assert data(call(make_user("ann"), "with", cookie=cookie)) is None


def test_what_is_changed_is_saved(make_user, page):
    @on_rpc("x", session=True)
    def change(call, fails: bool):
        call.session["cart"] = "changed"
        if fails:
            raise KeyError("cart")

    ann = make_user("ann")
    client = page(ann)
    call(ann, "x", {"fails": False}, cookie=cookie_of(client))
    assert client.session["cart"] == "changed"


def test_publications_too(room, make_user, page):  # noqa: F811
    @on_publish(room, session=True)
    def moderate(call, pk):
        return {"cart": call.session["cart"]}

    ann = make_user("ann")
    answer = publish(ann, "room:1", {}, cookie=cookie_of(page(ann)))
    assert data(answer) == {"cart": "ann"}


def test_a_site_without_sessions_has_none(make_user):
    @on_rpc("x", session=True)
    def handler(call):
        return call.session

    with override_settings(MIDDLEWARE=[]):
        assert data(call(get_user_model().objects.create(username="ann"), "x")) is None
