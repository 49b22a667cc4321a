"""Tokens, answers and throttles of a tenant; what the server asks, whoever's host it asks at."""

import json

import jwt
import pytest
from django.core.cache import cache
from django.test import Client

from instant import Namespace
from instant.centrifugo.api import channel_state
from instant.centrifugo.proxy import HEADER
from instant.html import script_config, source
from instant.rights.tokens import Signer
from instant.states import states
from tests.tenancy import fake

SECRET = "proxy-secret-0123456789"
DENIED = {"error": {"code": 403, "message": "permission denied"}}
JSON = "application/json"


@pytest.fixture(autouse=True)
def no_failed_logins():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def order(registry, tenants):
    class OrderChannel(Namespace):
        name, pattern = "order", "<int:pk>"
        authorize = "proxy"
        asked = []

        def can_subscribe(self, user, pk):
            self.asked.append((fake.CURRENT.get(), user.pk, pk))
            return fake.CURRENT.get() == "acme"

    return OrderChannel


def web(tenant, user=None):
    client = Client(headers={"Sec-Fetch-Site": "same-origin", "X-Tenant": tenant})
    if user is not None:
        client.force_login(user)
    return client


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


def test_tokens_name_the_tenant(tenants, make_user):
    ann = make_user()
    with tenants.activate("acme"):
        signer = Signer(ann)
    connection, channel = signer.connection_token(), signer.channel_token("$users")
    assert claims(connection.value)["sub"] == f"acme/{ann.pk}"
    assert claims(connection.value)["aud"] == "tests/acme"
    assert claims(channel.value)["channel"] == "$acme/users"
    shared = claims(Signer(ann).channel_token("$users").value)
    assert (shared["sub"], shared["aud"], shared["channel"]) == (str(ann.pk), "tests", "$users")


def test_an_answer_has_the_tenants_own_names(tenants, make_user, make_channel):
    make_channel("$users", "users")
    answer = web("acme", make_user()).post("/instant/get_token/", content_type=JSON).json()
    assert answer["prefix"] == "acme/"
    names = {granted["name"]: claims(granted["token"])["channel"] for granted in answer["channels"]}
    assert names["$users"] == "$acme/users"
    [own] = names.keys() - {"$users"}
    assert names[own] == own.replace("user:", "user:acme/")


def test_a_page_of_no_tenant_has_no_prefix(tenants, db):
    assert "prefix" not in web("").post("/instant/get_token/", content_type=JSON).json()
    assert "prefix" not in script_config()
    with tenants.activate("globex"):
        assert script_config()["prefix"] == "globex/"


def test_presence_is_of_the_tenants_channel_and_users(
    tenants, make_user, make_channel, client, monkeypatch
):
    make_channel("$users", "users", presence_level="subscribers")
    asked = []

    def presence(_client, channel, _timeout):
        asked.append(channel)
        return {"c1": {"user": "acme/7", "info": 1}, "c2": {"user": ""}, "c3": {"user": "globex/7"}}

    monkeypatch.setattr(channel_state, "presence", presence)
    ann = web("acme", make_user())
    # As the page's script names it, and as others do.
    for name in ("$users", "$acme/users"):
        answer = ann.post("/instant/presence/", json.dumps({"channel": name}), content_type=JSON)
        assert {key: one["user"] for key, one in answer.json()["clients"].items()} == {
            "c1": "7", "c2": "", "c3": "globex/7",
        }  # fmt: skip
    assert asked == ["$acme/users"] * 2
    refused = ann.post("/instant/presence/", '{"channel": "$globex/users"}', content_type=JSON)
    assert refused.status_code == 403


def test_history_is_of_the_tenants_channel(tenants, make_user, make_channel, client, monkeypatch):
    make_channel("$users", "users")
    asked = []
    monkeypatch.setattr(
        channel_state, "history", lambda _client, channel, *_, **__: asked.append(channel) or {}
    )
    web("globex", make_user()).post("/instant/history/", '{"channel": "$users"}', content_type=JSON)
    assert asked == ["$globex/users"]


def test_states_are_of_the_tenants_channels(registry, tenants, make_user, client, monkeypatch):
    class OrderChannel(Namespace):
        name, pattern = "order", "<int:pk>"

        def can_subscribe(self, user, pk):
            return fake.CURRENT.get() == "acme"

        def snapshot(self, user, pk):
            return fake.CURRENT.get()

    asked = []

    def positions(_client, channels, _timeout):
        asked.append(channels)
        return [{"offset": 3, "epoch": "e"} for _ in channels]

    monkeypatch.setattr(channel_state, "positions", positions)
    state = {"data": "acme", "offset": 3, "epoch": "e"}
    # As the page's script names them, and as others do.
    body = json.dumps({"channels": ["order:1", "order:acme/2", "order:globex/3"]})
    answer = web("acme", make_user()).post("/instant/snapshot/", body, content_type=JSON)
    assert answer.json() == {"states": {"order:1": state, "order:acme/2": state}}
    with tenants.activate("acme"):
        assert states(None, "order:4") == {"order:4": state}
    with tenants.activate("globex"):
        assert states(None, "order:4") == {}
    assert asked == [["order:acme/1", "order:acme/2"], ["order:acme/4"]]


def test_the_position_of_a_page_is_that_of_the_tenants_channel(tenants, client, monkeypatch):
    asked = []

    def positions(_client, channels, _timeout):
        asked.append(channels)
        return [{"offset": 3, "epoch": "e"}]

    monkeypatch.setattr(channel_state, "positions", positions)
    said = '<instant-source channel="news" offset="3" epoch="e"></instant-source>'
    with tenants.activate("acme"):
        assert source("news") == said
    assert asked == [["acme/news"]]


def ask(channel, user, kind="subscribe", tenant=""):
    """Ask as the server does, at whichever host PROXY_URL names."""
    body = {"client": "c", "user": user, "channel": channel}
    response = Client(headers={HEADER: SECRET, "X-Tenant": tenant}).post(
        f"/instant/proxy/{kind}/", json.dumps(body), content_type=JSON
    )
    return response.json()


@pytest.mark.parametrize("host", ["", "acme", "globex"])
def test_the_server_is_answered_for_the_tenant_of_channel_and_user(
    order, settings, make_user, host
):
    settings.CENTRIFUGO_PROXY_SECRET = SECRET
    ann = make_user()
    assert "result" in ask("order:acme/1", f"acme/{ann.pk}", tenant=host)
    assert ask("order:globex/1", f"globex/{ann.pk}", tenant=host) == DENIED
    assert order.asked == [("acme", ann.pk, 1), ("globex", ann.pk, 1)]


@pytest.mark.parametrize(
    ("channel", "user"),
    [
        ("order:acme/1", "globex/{}"),
        ("order:acme/1", "{}"),
        ("order:1", "acme/{}"),
        ("order:acme/globex/1", "acme/{}"),
        ("order:x:acme/1", "x:acme/{}"),
        ("order:nosuch/1", "nosuch/{}"),
        ("order:nosuch/1", ""),
        ("order:/1", "{}"),
        ("order:/1", ""),
    ],
)
def test_of_another_tenant_nobody_is_let_in(order, settings, make_user, channel, user):
    settings.CENTRIFUGO_PROXY_SECRET = SECRET
    order.can_subscribe = lambda self, user, pk: True
    ann = make_user()
    assert ask(channel, user.format(ann.pk), tenant="acme") == DENIED


def test_a_visitor_is_of_the_channels_tenant(order, settings, db):
    settings.CENTRIFUGO_PROXY_SECRET = SECRET
    assert "result" in ask("order:acme/1", "", tenant="globex")
    assert ask("order:globex/1", "", tenant="acme") == DENIED


def test_failed_logins_of_one_tenant_lock_nobody_out_of_another(tenants, settings, make_user):
    settings.INSTANT = {**settings.INSTANT, "THROTTLE": {"PAIR": "2/5m", "NAME": "2/5m"}}
    make_user("ann")

    def login(tenant, password):
        body = json.dumps({"username": "ann", "password": password})
        return web(tenant).post("/instant/login/", body, content_type=JSON).status_code

    assert [login("acme", "wrong") for _ in range(3)] == [403, 403, 429]
    assert login("globex", "pw") == 200


def test_an_address_has_one_limit_for_all_tenants(tenants, settings, db):
    settings.INSTANT = {
        **settings.INSTANT,
        "THROTTLE": {"PAIR": None, "NAME": None, "ADDRESS": "2/5m"},
    }

    def login(tenant):
        body = json.dumps({"username": "ann", "password": "wrong"})
        return web(tenant).post("/instant/login/", body, content_type=JSON).status_code

    assert [login(tenant) for tenant in ("acme", "globex", "acme")] == [403, 403, 429]
