"""Calls and publications of a page, through a server and Python, and back."""

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client

from instant import Namespace, on_connect, on_publish, on_rpc, on_subscribe
from instant.handlers import Disconnect, Refused
from instant.rights.tokens import Signer
from instant.tenancy import current as tenancy
from tests.live.subscriber import Subscriber
from tests.live.test_proxies import connect, start  # noqa: F401  fixtures
from tests.real_server import KINDS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def declared(registry):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"
        client_publish = "ask"

        def can_subscribe(self, user, pk):
            return True

        def can_publish(self, user, pk):
            return user.is_authenticated

    @on_publish(Room)
    def moderate(call, pk):
        if "spam" in call.data["text"]:
            raise Refused(409, "no spam")
        call.data["by"] = call.user.username

    @on_rpc("cart.add")
    def add(call, product: int):
        with transaction.atomic():
            return {"product": product, "user": call.user.username}

    @on_rpc("leave", anonymous=True)
    async def leave(call):
        raise Disconnect(4501, "as you wished")

    @on_rpc("cart.show", session=True)
    def show(call):
        return {"cart": call.session and call.session["cart"], "meta": call.meta}

    @on_rpc("cart.hidden")
    def hidden(call):
        return call.session

    @on_rpc("tenant", anonymous=True)
    async def tenant(call):
        return [await tenancy.acurrent(), (await call.auser()).username, call.meta]

    @on_connect
    def opened(call):
        return {"device": 7}

    class Hall(Namespace):
        name, pattern, authorize = "hall", "<int:pk>", "proxy"

        def can_subscribe(self, user, pk):
            return True

    @on_subscribe(Hall)
    def enter(call, pk):
        if pk == 2:
            raise Refused(409, "it is full")
        return {"pk": pk, **call.meta}

    return Room


@pytest.fixture(params=KINDS)
def live(request, start):  # noqa: F811
    return start(request.param)


def test_a_call(live, connect, make_user, anonymous):  # noqa: F811
    page, visitor = connect(live, make_user("ann")), connect(live, anonymous)

    def call(page, method, data):
        return page.ask(rpc={"method": method, "data": data})

    answer = call(page, "cart.add", {"product": 7})
    assert answer["rpc"] == {"data": {"product": 7, "user": "ann"}}
    assert call(page, "cart.add", {"product": "x"})["error"]["code"] == 422
    assert call(page, "nothing", {})["error"] == {"code": 404, "message": "there is no such method"}
    assert call(visitor, "cart.add", {"product": 7})["error"]["code"] == 401
    visitor.tell(rpc={"method": "leave", "data": {}})
    assert visitor.close_code() == 4501


def test_a_publication(live, connect, make_user, declared):  # noqa: F811
    ann = make_user("ann")
    page = connect(live, ann)
    token = Signer(ann).channel_token("room:1").value
    assert "subscribe" in page.subscribe("room:1", token)
    refused = page.ask(publish={"channel": "room:1", "data": {"text": "spam"}})
    assert refused["error"] == {"code": 409, "message": "no spam"}
    page.tell(publish={"channel": "room:1", "data": {"text": "hello"}})
    assert page.publications(1) == [("room:1", {"text": "hello", "by": "ann"})]


def test_a_whisper_is_heard_and_in_no_history(live, connect, make_user, declared):  # noqa: F811
    """Neither a gap nor a position comes of it, whichever server it is."""
    ann = make_user("ann")
    page = connect(live, ann)
    token = Signer(ann).channel_token("room:1").value
    began = page.subscribe("room:1", token)["subscribe"]
    assert began["recoverable"]
    refused = page.ask(
        publish={"channel": "room:1", "data": {"text": "spam", "instant:whisper": True}}
    )
    assert refused["error"] == {"code": 409, "message": "no spam"}

    def publish(**data):
        page.tell(publish={"channel": "room:1", "data": data})
        return page.push("pub")["pub"]

    whispered = publish(text="I", **{"instant:whisper": True})
    assert whispered["data"] == {"text": "I", "by": "ann", "instant:whisper": True}
    assert "offset" not in whispered
    assert whispered["info"]["user"] == str(ann.pk)
    kept = publish(text="I know")
    assert kept["offset"] == began.get("offset", 0) + 1
    # Whoever comes back has missed the message and nothing else.
    again = connect(live, ann).subscribe(
        "room:1", token, recover=True, epoch=began["epoch"], offset=began.get("offset", 0)
    )["subscribe"]
    assert again["recovered"]
    assert [one["data"]["text"] for one in again["publications"]] == ["I know"]


@pytest.fixture
def browser(live, make_user):
    """A logged-in page: its session, its token, and a connection that has its cookie."""
    ann = make_user("ann")
    client = Client()
    client.force_login(ann)
    session = client.session
    session["cart"] = "ann's"
    session.save()
    answer = client.get("/instant/get_token/").json()
    name = settings.SESSION_COOKIE_NAME
    page = Subscriber(live.url, headers={"Cookie": f"{name}={client.cookies[name].value}"})
    assert "connect" in page.connect(answer["ws_token"])
    yield page
    page.close()


def test_the_session_and_the_meta(browser, live, connect, make_user):  # noqa: F811
    def data(page, method):
        return page.ask(rpc={"method": method, "data": {}})["rpc"].get("data")

    assert data(browser, "cart.show") == {"cart": "ann's", "meta": {"device": 7}}
    assert data(browser, "cart.hidden") is None
    other = connect(live, make_user("bob"))  # whose token says nothing, and no cookie
    assert data(other, "cart.show") == {"cart": None, "meta": {}}


def test_a_subscription_by_proxy_gets_data(browser):
    assert browser.subscribe("hall:1")["subscribe"]["data"] == {"pk": 1, "device": 7}
    assert browser.subscribe("hall:2")["error"] == {"code": 409, "message": "it is full"}


@pytest.mark.parametrize("kind", KINDS)
def test_whose_tenant_a_call_is(start, kind, make_user):  # noqa: F811
    server = start(kind, TENANT="tests.inbound.tenants.Tenants")
    ann, found = make_user("ann"), []
    for tenant, user in [("acme", None), ("globex", ann), ("", None)]:
        client = Client()
        if user:
            client.force_login(user)
        with tenancy.activate(tenant):
            answer = client.get("/instant/get_token/").json()
        page = Subscriber(server.url)
        assert "connect" in page.connect(answer["ws_token"])
        found.append(page.ask(rpc={"method": "tenant", "data": {}})["rpc"]["data"])
        page.close()
    device = {"device": 7}
    assert found == [["acme", "", device], ["globex", "ann", device], ["", "", device]]
