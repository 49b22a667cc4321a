"""What the lite script asks, and what the server asks about its tickets."""

import json
import time
from types import SimpleNamespace

import jwt
import pytest
from django.core.cache import caches
from django.test import Client

from instant import Namespace, conf, on_connect, on_subscribe
from instant.centrifugo.api.commands import Since, Subscribe
from instant.centrifugo.proxy import HEADER
from instant.conf.throttle import Rate
from instant.exceptions import ServerRefused, ServerUnreachable
from instant.handlers import Refused
from instant.views import lite, ticket_throttle
from tests.inbound.tenants import Tenants

SECRET = "proxy-secret-0123456789"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.fixture(autouse=True)
def on(settings, tmp_path):
    settings.CENTRIFUGO_PROXY_SECRET = SECRET
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": tmp_path,
        }
    }
    settings.INSTANT = {**settings.INSTANT, "LITE": True, "PROXY_URL": "http://127.0.0.1:8000"}


@pytest.fixture
def news(make_channel):
    return make_channel("news", "public")


SESSION = "0b1c3a4e-58f7-4c02-a64d-3f6f0e8f8f0a"


def ask(channels=None, *, client=None, status=200, session=SESSION, **more):
    """Ask for what opens a connection, or with channels to be subscribed."""
    body = more if channels is None else {"session": session, "channels": channels}
    response = (client or Client()).post(
        "/instant/lite/",
        json.dumps(body),
        content_type="application/json",
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert response.status_code == status, response.content
    assert "no-store" in response["Cache-Control"]
    return response.json()


def claims(token):
    current = conf.current()
    return jwt.decode(token, current.hmac_key, ["HS256"], audience=current.audience)


def connect(data, *, secret=SECRET, client=None):
    response = (client or Client()).post(
        "/instant/proxy/connect/",
        json.dumps({"client": "c", "transport": "uni_sse", "data": data}),
        content_type="application/json",
        headers={HEADER: secret},
    )
    assert response.status_code == 200
    return response.json()


NO_TICKET = {"disconnect": {"code": 4403, "reason": "no ticket"}}


class Server:
    """Takes commands, and answers each with what a test says."""

    def __init__(self):
        self.commands, self.answers = [], {}

    def client(self):
        return self

    def run(self, commands, timeout):
        self.commands += commands
        return [self.answers.get((type(one), one.channel)) for one in commands]


@pytest.fixture(autouse=True)
def server(monkeypatch):
    found = Server()
    monkeypatch.setattr(lite, "get_backend", lambda: found)
    return found


def test_a_request_that_dawdles_subscribes_nobody(make_user, monkeypatch, news, server):
    ask({"news": None})
    assert len(server.commands) == 1
    began = time.time() - conf.current().token_use
    monkeypatch.setattr(lite.tokens, "began", lambda _request: began)
    ask({"news": None}, status=503)
    assert len(server.commands) == 1


def test_a_visitor_gets_a_token_that_subscribes_nobody():
    found = ask()
    [url] = found["urls"]
    assert url.startswith("http://testserver:")
    assert url.endswith("/connection/")
    said = claims(found["token"])
    assert said["sub"] == ""
    # With subscriptions in it one frame of its bearer would end Centrifugo 6.9.1.
    assert set(said) == {"sub", "exp", "expire_at", "aud"}
    assert "ticket" not in found


def test_django_subscribes_to_what_the_user_may_hear(registry, make_user, make_channel, server):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"

        def can_subscribe(self, user, pk):
            return user.is_authenticated

        def connection_info(self, user, pk):
            return {"name": user.get_username()}

    make_channel("news", "public")
    make_channel("$staff", "staff")
    ann, client = make_user("ann"), Client()
    client.force_login(ann)
    wanted = dict.fromkeys(["news", "$staff", "nothing", "room:1"])
    found = ask(wanted, client=client)
    assert found == {
        "channels": {"news": {"name": "news"}, "room:1": {"name": "room:1"}},
        "unknown": [],
    }
    user = str(ann.pk)
    assert {one.channel: one for one in server.commands} == {
        "news": Subscribe(user, SESSION, "news"),
        "room:1": Subscribe(user, SESSION, "room:1", {"name": "ann"}),
    }
    server.commands.clear()
    assert list(ask(wanted)["channels"]) == ["news"]
    assert server.commands == [Subscribe("", SESSION, "news")]


def test_what_was_missed_is_read_after_that(news, make_channel, server):
    make_channel("sport", "public")
    missed = [{"data": {"message": "x"}, "offset": 8}]
    server.answers = {
        (Since, "news"): missed,
        (Since, "sport"): ServerRefused("unrecoverable", channel="sport", code=112),
    }
    at = {"offset": 7, "epoch": "e"}
    found = ask({"news": at, "sport": at})
    assert found["channels"] == {
        "news": {"name": "news", "publications": missed},
        "sport": {"name": "sport"},
    }
    kinds = [type(one) for one in server.commands]
    assert kinds == [Subscribe, Subscribe, Since, Since]
    assert Since("news", 7, "e", 100) in server.commands


def test_where_the_server_fails_nobody_is_denied(news, server, monkeypatch):
    server.answers = {(Subscribe, "news"): ServerRefused("internal", channel="news", code=100)}
    assert ask({"news": None}) == {"channels": {}, "unknown": ["news"]}

    def fail(*_arguments):
        raise ServerUnreachable("away")

    monkeypatch.setattr(server, "run", fail)
    assert ask({"news": None}, status=503)
    monkeypatch.setattr(server, "client", lambda: None)
    assert ask({"news": None}, status=503)


def test_where_the_server_asks_itself_no_token_opens_a_channel(registry):
    class Room(Namespace):
        name, pattern, authorize = "room", "<int:pk>", "proxy"

        def can_subscribe(self, user, pk):
            return True

    class Street(Namespace):
        name, pattern, authorize = "street", "<int:pk>", "open"

    assert list(ask({"room:1": None, "street:1": None})["channels"]) == ["street:1"]


def test_handlers_are_asked(news, server):
    @on_connect
    def opened(call):
        return {"device": 7}

    @on_subscribe("news")
    def enter(call):
        raise Refused

    assert claims(ask()["token"])["meta"] == {"device": 7}
    assert ask({"news": None})["channels"] == {}
    assert server.commands == []


def test_who_may_not_connect_gets_nothing(news, settings):
    settings.INSTANT = {**settings.INSTANT, "ANONYMOUS": False}
    assert ask(status=403)
    assert ask({"news": None}, status=403)


def test_it_is_off_by_default(news, settings):
    settings.INSTANT = {key: value for key, value in settings.INSTANT.items() if key != "LITE"}
    assert ask(status=404) == {"error": "There is no such script here."}
    settings.DEBUG = True
    assert 'INSTANT["LITE"]' in ask(status=404)["error"]


@pytest.mark.parametrize(
    "channels",
    [
        7, "news", ["news"], {}, {"news": 7}, {"news": {"offset": 1}},
        {"news": {"offset": "1", "epoch": "e"}}, {"news": {"offset": True, "epoch": "e"}},
        {"news": {"offset": -1, "epoch": "e"}}, {"news": {"offset": 2**63, "epoch": "e"}},
        {"news": {"offset": 1, "epoch": 7}},
    ],
)  # fmt: skip
def test_bad_names(channels, server):
    assert ask(channels, status=400)["error"]
    assert server.commands == []


def test_a_channel_without_a_name_is_said_and_holds_up_no_other(news, server):
    found = ask({"": None, "news": None})
    assert found["channels"] == {"news": {"name": "news"}}
    assert 'instant.channel("")' in found["error"]
    assert ask({"": None})["channels"] == {}
    assert [one.channel for one in server.commands] == ["news"]
    assert "error" not in ask({"news": None})


def test_of_more_channels_than_a_connection_has_the_first_are_heard(make_channel, server):
    names = [f"news{number}" for number in range(130)]
    for name in names:
        make_channel(name, "public")
    found = ask(dict.fromkeys(names))
    assert [*found["channels"]] == names[:128]
    assert "130 channels" in found["error"]
    assert "at most 128" in found["error"]
    assert len(server.commands) == 128


def tickets(rate, monkeypatch):
    for name in ("OF_USER", "OF_ADDRESS"):
        monkeypatch.setattr(ticket_throttle, name, rate)


def test_a_user_gets_so_many_tickets(make_user, monkeypatch, settings):
    tickets(Rate(3, 60), monkeypatch)
    ann, bob, user = Client(), Client(), make_user("ann")
    ann.force_login(user)
    bob.force_login(make_user("bob"))
    for _ in range(3):
        ask(client=ann, ticket=True)
    assert "Try again in" in ask(client=ann, ticket=True, status=429)["error"]
    # Another session is no other user; HTTP streams go on, and so do others.
    ann.logout()
    ann.force_login(user)
    ask(client=ann, ticket=True, status=429)
    ask(client=ann)
    ask(client=bob, ticket=True)
    settings.INSTANT = {**settings.INSTANT, "THROTTLE": None}
    ask(client=ann, ticket=True)


def test_visitors_share_the_limit_of_their_address(monkeypatch, settings):
    tickets(Rate(2, 60), monkeypatch)
    for _ in range(2):
        ask(ticket=True)
    ask(ticket=True, status=429)
    ask(client=Client(REMOTE_ADDR="192.0.2.7"), ticket=True)
    # Whoever comes through a proxy that no setting names has everybody's address.
    for _ in range(3):
        ask(client=Client(headers={"X-Forwarded-For": "192.0.2.8"}), ticket=True)


def test_a_cache_that_does_not_count_costs_no_ticket(monkeypatch, caplog):
    def fail(self):
        raise OSError("no cache")

    monkeypatch.setattr(ticket_throttle.Limit, "take", fail)
    assert ask(ticket=True)["ticket"]
    assert "tickets are not throttled" in caplog.text


@pytest.mark.parametrize("session", ["", None, 7, "x" * 36, [SESSION], f"{SESSION}\n"])
def test_without_a_session_every_visitor_would_be_subscribed(news, server, session):
    assert "session" in ask({"news": None}, session=session, status=400)["error"]
    assert server.commands == []


def test_another_sites_page_is_refused(news):
    response = Client().post(
        "/instant/lite/",
        json.dumps({"channels": ["news"]}),
        content_type="application/json",
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    )
    assert response.status_code == 403


def test_a_ticket_opens_one_connection():
    found = ask(ticket=True)
    assert "token" not in found
    opened = connect({"ticket": found["ticket"]})["result"]
    assert opened["user"] == ""
    assert opened["expire_at"] > 0
    assert set(opened) == {"user", "expire_at"}
    assert connect({"ticket": found["ticket"]}) == NO_TICKET


def test_a_ticket_of_a_session_needs_its_cookie(make_user):
    client = Client()
    client.force_login(make_user("ann"))
    ticket = ask(client=client, ticket=True)["ticket"]
    assert connect({"ticket": ticket}) == NO_TICKET
    ticket = ask(client=client, ticket=True)["ticket"]
    assert "result" in connect({"ticket": ticket}, client=client)


@pytest.fixture
def clock(monkeypatch):
    """What cookies are signed with, in whole seconds."""
    now = [time.time()]
    monkeypatch.setattr("django.core.signing.time", SimpleNamespace(time=lambda: now[0]))
    return now


@pytest.fixture(params=[True, False], ids=["saved each time", "saved when changed"])
def signed(request, settings, clock):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.SESSION_SAVE_EVERY_REQUEST = request.param
    return request.param


def test_a_ticket_of_a_session_in_a_cookie_needs_its_user(make_user, signed, clock):
    """Each answer may write another cookie, for it has the time in it."""
    ann, bob, user = Client(), Client(), make_user("ann")
    ann.force_login(user)
    bob.force_login(make_user("bob"))
    stolen = ann.cookies["sessionid"].value
    tickets = [ask(client=ann, ticket=True)["ticket"] for _ in range(4)]
    clock[0] += 2
    ask(client=ann)
    assert (ann.cookies["sessionid"].value != stolen) is signed
    assert "result" in connect({"ticket": tickets[0]}, client=ann)
    assert connect({"ticket": tickets[1]}, client=bob) == NO_TICKET
    assert connect({"ticket": tickets[2]}) == NO_TICKET
    user.set_password("another")
    user.save()
    ann.force_login(user)
    assert connect({"ticket": tickets[3]}, client=ann) == NO_TICKET


def test_a_visitors_ticket_opens_also_where_each_answer_writes_another_cookie(signed, clock):
    client = Client()
    session = client.session
    session["cart"] = [7]
    session.save()
    client.cookies["sessionid"] = session.session_key
    first, second = (ask(client=client, ticket=True)["ticket"] for _ in range(2))
    clock[0] += 2
    ask(client=client)
    assert "result" in connect({"ticket": first}, client=client)
    assert (connect({"ticket": second}) == NO_TICKET) is not signed


def test_no_ticket_is_left_to_the_server():
    """It takes {} as no answer, and does what it would do if it had asked nobody."""
    for data in (None, {}, {"x": 1}, "x"):
        assert connect(data) == {}
    assert connect({"ticket": "x"}) == NO_TICKET
    assert connect({"ticket": 7}) == NO_TICKET


def test_only_the_server_may_redeem_one(news):
    ticket = ask(ticket=True)["ticket"]
    assert connect({"ticket": ticket}, secret="wrong")["disconnect"]["code"] == 4500
    assert Client().get("/instant/proxy/connect/").json()["disconnect"]["code"] == 4500
    assert "result" in connect({"ticket": ticket})


@pytest.mark.parametrize("backend", ["locmem.LocMemCache", "dummy.DummyCache"])
def test_where_each_process_has_a_cache_of_its_own_there_are_no_tickets(news, settings, backend):
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}
    assert ask(ticket=True, status=403)["error"] == "There are no tickets here."
    assert "token" in ask()


def test_a_cache_that_fails_is_no_ticket(news, monkeypatch):
    def fail(*_arguments):
        raise ConnectionError

    ticket = ask(ticket=True)["ticket"]
    monkeypatch.setattr(type(caches["default"]), "get", fail)
    assert connect({"ticket": ticket}) == NO_TICKET
    monkeypatch.setattr(type(caches["default"]), "add", fail)
    assert ask(ticket=True, status=503)
    monkeypatch.setattr(type(caches["default"]), "add", lambda *_: False)
    assert ask(ticket=True, status=503)


def test_names_of_tenants(registry, settings, server):
    class Room(Namespace):
        name, pattern = "room", "<int:pk>"

        def can_subscribe(self, user, pk):
            return True

    settings.INSTANT = {**settings.INSTANT, "TENANT": "tests.inbound.tenants.Tenants"}
    with Tenants().activate("acme"):
        ticket = ask(ticket=True)["ticket"]
        found = ask({"room:1": None})
    assert found["channels"] == {"room:1": {"name": "room:acme/1"}}
    assert server.commands == [Subscribe("", SESSION, "room:acme/1")]
    assert "result" in connect({"ticket": ticket})
