"""Methods over HTTP: who may, what goes in, what comes out."""

import asyncio
import json
from dataclasses import dataclass

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import caches
from django.db import OperationalError, connection
from django.test import AsyncClient, Client, override_settings

from instant import on_rpc
from instant.handlers import Disconnect, Refused
from tests.docs.documents import blocks
from tests.tenancy import fake

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
OWN = {"Authorization": "Bearer ann"}


@pytest.fixture(autouse=True)
def gateway(settings):
    settings.INSTANT = {
        **settings.INSTANT, "GATEWAY": True, "AUTHENTICATION": ["tests.views.authenticators.bearer"],
    }  # fmt: skip


@pytest.fixture
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def native(ann):
    """A caller with credentials of its own, and nothing that a browser would add."""
    return Client(enforce_csrf_checks=True, headers=OWN, raise_request_exception=False)


@pytest.fixture
def page(web, ann):
    """A page of the site's own, where ann is logged in."""
    web.force_login(ann)
    return web


def ask(client, method, body=None, kind=JSON, **headers):
    """Return the status and the answer; every answer is for no cache."""
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    response = client.post(
        f"/instant/rpc/{method}/",
        b"" if body is None else raw,
        content_type=kind,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    assert response["Cache-Control"] == "private, no-store"
    if response["Content-Type"] != JSON:
        return response.status_code, response.content.decode()
    return response.status_code, response.json()


def error(code, message, **more):
    return code, {"error": message, "code": code, **more}


@pytest.fixture
def seen():
    return []


@pytest.fixture
def add(seen):
    @on_rpc("cart.add")
    def add(call, product: int, quantity: int = 1):
        seen.append(call)
        return {"total": product * quantity}

    return add


def test_a_call(native, ann, add, seen):
    assert ask(native, "cart.add", {"product": 7}) == (200, {"data": {"total": 7}})
    [call] = seen
    assert (call.user, call.client, call.method, call.channel) == (ann, "", "cart.add", "")
    assert (call.transport, call.data, call.id) == ("http", {"product": 7}, "")
    assert call.headers["authorization"] == "Bearer ann"
    assert call.session is None
    assert ask(native, "cart.ad", {}) == error(404, "there is no such method")
    text = "Input should be a valid integer, unable to parse string as an integer"
    assert ask(native, "cart.add", {"product": "x"}) == error(
        422, f"product: {text}", fields={"product": text}
    )
    assert len(seen) == 1


def test_without_the_setting_there_is_none(
    native, add, seen, settings, django_assert_num_queries, page
):
    settings.INSTANT = {**settings.INSTANT, "GATEWAY": False}
    with django_assert_num_queries(0):
        assert ask(native, "cart.add", {"product": 7}) == error(404, "There is no gateway.")
    assert "rpc_url" not in page.get("/instant/get_token/").json()
    settings.DEBUG = True
    assert ask(page, "cart.add")[1]["error"].endswith('INSTANT["GATEWAY"] is not True.')
    assert not seen


def test_get_token_tells_the_page_of_it(page):
    assert page.get("/instant/get_token/").json()["rpc_url"] == "/instant/rpc/"


@pytest.mark.parametrize("kind", [JSON, FORM, "application/xml"])
def test_another_sites_page_reaches_no_handler(page, add, seen, kind):
    bodies = {JSON: '{"product": 7}', FORM: "product=7"}
    body = bodies.get(kind, "<c><product>7</product></c>")
    assert ask(page, "cart.add", body, kind)[0] == 200
    for headers in (
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site", "Authorization": "Basic YW5uOnB3"},
    ):
        status, answer = ask(page, "cart.add", body, kind, **headers)
        assert (status, answer["code"]) == (403, 403)
    # What tells nothing of where it comes from needs Django's token, of a form too.
    quiet = Client(enforce_csrf_checks=True)
    quiet.force_login(page.get("/instant/get_token/").wsgi_request.user)
    assert ask(quiet, "cart.add", body, kind)[0] == 403
    token = quiet.get("/instant/get_token/").json()["csrf_token"]
    assert ask(quiet, "cart.add", body, kind, X_CSRFToken=token)[0] == 200
    if kind == FORM:
        assert ask(quiet, "cart.add", f"{body}&csrfmiddlewaretoken={token}", kind)[0] == 200
        assert seen[-1].data == {"product": "7"}
    assert len(seen) == (3 if kind == FORM else 2)


def test_own_credentials(native, ann, add, seen, make_user):
    assert ask(native, "cart.add", {"product": 1}, Origin="https://evil.example")[0] == 200
    status, answer = ask(native, "cart.add", {"product": 1}, Authorization="Bearer nobody")
    assert (status, answer["code"]) == (401, 401)
    assert ask(Client(), "cart.add", {"product": 1}, Sec_Fetch_Site="same-origin") == error(
        401, "log in first"
    )
    get_user_model().objects.update(is_active=False)
    assert ask(native, "cart.add", {"product": 1}) == error(401, "log in first")
    assert len(seen) == 1


def test_a_401_says_how_to_authenticate(native, add):
    for header in ("Bearer nobody", "Other x"):
        response = native.post(
            "/instant/rpc/cart.add/",
            content_type=JSON,
            headers={"Authorization": header, "Sec-Fetch-Site": "same-origin"},
        )
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")


def test_anonymous_callers(web, settings):
    @on_rpc("open", anonymous=True)
    def handler(call):
        return call.user.is_anonymous

    assert ask(web, "open") == (200, {"data": True})
    settings.INSTANT = {**settings.INSTANT, "ANONYMOUS": False}
    assert ask(web, "open") == error(401, "log in first")


def test_a_permission(native):
    @on_rpc("orders.all", can="auth.view_user")
    def handler(call):
        raise AssertionError

    assert ask(native, "orders.all", {"ids": "wrong"}) == error(403, "permission denied")


def test_the_session_where_it_is_asked_for(page, native):
    @on_rpc("s", session=True)
    def handler(call):
        return None if call.session is None else call.session.get("n", 1)

    assert ask(page, "s") == (200, {"data": 1})
    # Whoever brings credentials gets none, even with a cookie beside them.
    native.cookies = page.cookies
    assert ask(native, "s") == (200, {"data": None})


def test_the_name_of_a_call(native, seen):
    @on_rpc("n")
    def handler(call, **more):
        seen.append(call.id)
        return more

    assert ask(native, "n", {"instant:id": "a-1", "x": 1}) == (200, {"data": {"x": 1}})
    assert ask(native, "n", {}, Idempotency_Key='"a-2"')[0] == 200
    assert ask(native, "n", {"instant:id": "a-3"}, Idempotency_Key="a-3")[0] == 200
    assert ask(native, "n", "instant%3Aid=a-4&x=1", FORM) == (200, {"data": {"x": "1"}})
    assert seen == ["a-1", "a-2", "a-3", "a-4"]
    for body, header in [({"instant:id": 1}, None), ({"instant:id": ""}, None), ({}, "a b"),
                         ({}, "a" * 65), ({"instant:id": "a"}, "b"), ({}, '"')]:  # fmt: skip
        headers = {} if header is None else {"Idempotency_Key": header}
        assert ask(native, "n", body, **headers)[0] == 400
    assert len(seen) == 4


def test_what_a_handler_raises(native, caplog):
    raised = []

    @on_rpc("x")
    def handler(call):
        raise raised.pop()

    def answered(exc):
        raised.append(exc)
        response = native.post("/instant/rpc/x/", content_type=JSON)
        return response.status_code, response.json()["code"], response.get("Retry-After")

    assert answered(Refused(409, "sold out")) == (409, 409, None)
    assert answered(Refused(409, "busy", temporary=True)) == (409, 409, "1")
    assert answered(Refused(429, "too many", temporary=True, retry_after=7)) == (429, 429, "7")
    assert answered(Refused(504, "took too long")) == (504, 504, "1")
    assert answered(Refused(1001, "your own")) == (400, 1001, None)
    assert answered(Refused(499, "your own")) == (400, 499, None)
    assert answered(Disconnect()) == (403, 403, None)
    assert "instant.inbound" not in {record.name for record in caplog.records}
    assert answered(KeyError("secret detail")) == (500, 500, None)
    assert answered(OperationalError("down")) == (503, 503, "1")
    assert len([r for r in caplog.records if r.name == "instant.inbound" and r.exc_info]) == 2
    raised.append(KeyError("secret detail"))
    assert ask(native, "x") == error(500, "internal error")


def test_an_answer_that_is_no_json_is_an_internal_error(native):
    answers = [object(), float("nan"), {(1,): 2}]

    @on_rpc("x")
    def handler(call):
        return answers.pop()

    for _ in range(3):
        assert ask(native, "x") == error(500, "internal error")


def test_async_handlers(native):
    @on_rpc("x")
    async def handler(call, n: int):
        await asyncio.sleep(0)
        return n + 1

    assert ask(native, "x", {"n": 1}) == (200, {"data": 2})


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("in_threads")
async def test_under_asgi(ann):
    @on_rpc("x")
    async def handler(call, n: int):
        await asyncio.sleep(0)
        return [n, call.user.get_username()]

    client = AsyncClient()
    response = await client.post("/instant/rpc/x/", {"n": 1}, content_type=JSON, headers=OWN)
    assert (response.status_code, response.json()) == (200, {"data": [1, "ann"]})


def test_where_all_pages_are_for_those_who_are_logged_in(web, settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]  # fmt: skip

    @on_rpc("open", anonymous=True)
    def handler(call):
        return 1

    assert ask(web, "open") == (200, {"data": 1})


@pytest.mark.django_db(transaction=True)
def test_in_a_request_that_is_a_transaction_a_failed_call_keeps_nothing(native, make_user):
    @on_rpc("x")
    def handler(call, fail: str):
        make_user(f"of-{fail}")
        if fail == "refused":
            raise Refused
        if fail == "bug":
            raise KeyError

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        statuses = [ask(native, "x", {"fail": how})[0] for how in ("refused", "bug", "no")]
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert statuses == [403, 500, 200]
    names = get_user_model().objects.values_list("username", flat=True)
    assert set(names) == {"ann", "of-no"}


@dataclass
class Order:
    lines: list[int]
    note: str = ""
    tags: list[str] | None = None


def test_forms(native, seen):
    @on_rpc("order")
    def handler(call, order: Order):
        seen.append(order)

    assert ask(native, "order", "lines=1&tags=a&tags=b&note=%C3%A9", FORM)[0] == 200
    assert seen == [Order([1], "é", ["a", "b"])]
    assert ask(native, "order", "lines=1&note=a&note=b", FORM)[0] == 422
    assert ask(native, "order", b"lines=%ff", FORM)[0] == 400
    assert ask(native, "order", "&".join(f"a{n}=1" for n in range(1001)), FORM)[0] == 400
    # What curl says of a body that nobody said anything about.
    status, answer = ask(native, "order", '{"lines": [1]}', FORM)
    assert (status, answer["code"]) == (400, 400)
    assert "application/json" in answer["error"]


def test_xml(native, seen):
    @on_rpc("order")
    def handler(call, order: Order):
        seen.append(order)
        return order

    body = '<order><lines><item>1</item><item type="number">2</item></lines><note> é</note></order>'
    assert ask(native, "order", body, "application/xml")[0] == 200
    assert seen == [Order([1, 2], " é")]
    status, text = ask(native, "order", body, "text/xml", Accept="application/xml")
    assert status == 200
    assert text == (
        '<?xml version="1.0" encoding="utf-8"?>\n<response type="object"><data type="object">'
        '<lines type="list"><item type="number">1</item><item type="number">2</item></lines>'
        '<note> é</note><tags type="null"/></data></response>'
    )  # fmt: skip
    status, text = ask(native, "order", "<order/>", "text/xml", Accept="text/xml")
    assert status == 422
    assert '<fields type="object"><lines>' in text or "<error>" in text


def test_the_sample_of_the_page(native):
    [block] = blocks("xml", document="docs/gateway.md")

    @on_rpc("x")
    def handler(call, order: int, lines: list[int], urgent: bool, **more):
        return [order, lines, urgent, more]

    more = {"note": None, "a name that no element has": "x"}
    assert ask(native, "x", block.code, "text/xml") == (200, {"data": [42, [1, 2], True, more]})


BOMBS = [
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>',
    b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><x/>',
    b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    b"<!DOCTYPE x><x/>",
]


@pytest.mark.parametrize("body", [
    *BOMBS, b"<x>&amp", b"<x>&nbsp;</x>", b"", b"<x/><y/>", b"<x a='1'/>", b"<x type='odd'/>",
    b"<x>a<y/></x>", b"<x><y/>a</x>", b"<x><y/><y/></x>", b"<x type='list'><y/></x>", b"\xff\xfe<x/>",
    b"<x type='number'>1e999</x>", b"<x type='number'>NaN</x>", b"<x type='null'>0</x>", b"\0",
    b"<x type='boolean'>1</x>", b"<x type='number'><y/></x>", b"<x>" * 100 + b"</x>" * 100,
    b'<?xml version="1.0" encoding="utf-7"?><x/>', b'<?xml version="1.0" encoding="nonsense"?><x/>',
    b'<?xml version="1.0" encoding="utf-16"?><x/>', b"<x>\xff</x>", b"<x>" * 20000,
])  # fmt: skip
def test_what_is_no_xml_of_ours(native, body):
    @on_rpc("x")
    def handler(call, data):
        raise AssertionError

    if body:
        status, answer = ask(native, "x", body, "application/xml")
        assert (status, answer["code"]) == (400, 400)


def test_without_the_extra_there_is_no_xml(native, monkeypatch, add):
    monkeypatch.setitem(__import__("sys").modules, "defusedxml", None)
    assert ask(native, "cart.add", "<c/>", "text/xml") == error(415, "XML is not taken here.")
    with override_settings(DEBUG=True):
        assert "django-instant[xml]" in ask(native, "cart.add", "<c/>", "text/xml")[1]["error"]


@pytest.mark.parametrize(("accept", "kind"), [
    ("*/*", JSON), ("application/json", JSON), ("application/json; charset=utf-8", JSON),
    ("application/json, text/plain, */*", JSON), ("application/xml", "application/xml"),
    ("text/xml", "text/xml"), ("application/json;q=0.5, text/xml;q=0.6", "text/xml"),
    ("application/*", JSON), ("application/json;q=0, */*", "application/xml"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml"),
    ("text/html", None), ("", None), ("application/json;q=0", None), (";;q=x,,/", None),
])  # fmt: skip
def test_accept(native, add, seen, accept, kind):
    response = native.post(
        "/instant/rpc/cart.add/", '{"product": 7}', content_type=JSON, headers={"Accept": accept}
    )
    if kind is None:
        assert (response.status_code, response.json()["code"], seen) == (406, 406, [])
    else:
        assert (response.status_code, response["Content-Type"]) == (200, kind)


def test_what_xml_can_not_hold_comes_as_json(native):
    @on_rpc("x")
    def handler(call):
        return "\x00"

    assert ask(native, "x", Accept="application/xml") == (200, {"data": "\x00"})


@pytest.mark.parametrize(("body", "kind", "status"), [
    ("{}", "text/plain", 415), ("{}", "multipart/form-data; boundary=x", 415), ("{}", "", 415),
    ("{}", "application/json; charset=latin-1", 415), ("{}", "application/json; charset=UTF-8", 200),
    ("{", JSON, 400), ("NaN", JSON, 400), ("1e999", JSON, 400), ("[" * 60_000, JSON, 400),
    ("[" * 60 + "]" * 60, JSON, 200), ("[" * 70 + "]" * 70, JSON, 400), ('"\\ud800"', JSON, 400),
    ('"\\u00e9"', JSON, 200), (b'"\xed\xa0\x80"', JSON, 400), ("9" * 5000, JSON, 400), (b"\xff", JSON, 400),
    (b'\xef\xbb\xbf"x"', JSON, 200), ("x" * 65_537, JSON, 413),
])  # fmt: skip
def test_bodies(native, body, kind, status):
    @on_rpc("x")
    def handler(call, data=None):
        return data

    got, answer = ask(native, "x", body, kind)
    assert got == status, answer
    if status != 200:
        assert answer["code"] == status


def test_a_body_that_is_compressed_is_refused(native, add):
    assert ask(native, "cart.add", "{}", Content_Encoding="gzip")[0] == 415
    assert ask(native, "cart.add", {"product": 1}, Content_Encoding="identity")[0] == 200


def test_a_body_in_chunks_that_nobody_reads_is_no_empty_payload(native, add, seen):
    assert ask(native, "cart.add", Transfer_Encoding="chunked")[0] == 411
    assert ask(Client(), "cart.add")[1]["error"].startswith("log in")
    assert ask(Client(enforce_csrf_checks=True), "cart.add")[1]["error"].endswith(
        "A program shows credentials of its own."
    )
    assert not seen


def test_another_method_of_http(native, add):
    response = native.get("/instant/rpc/cart.add/")
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert response.json() == {"error": "Use POST.", "code": 405}


def test_a_tenants_caller_is_that_tenants(native, settings):
    settings.INSTANT = {**settings.INSTANT, "TENANT": "tests.tenancy.fake.ContextTenants"}
    settings.MIDDLEWARE = ["tests.tenancy.fake.FromHeader", *settings.MIDDLEWARE]

    @on_rpc("x")
    def handler(call):
        return fake.CURRENT.get()

    assert ask(native, "x", X_Tenant="acme") == (200, {"data": "acme"})


def test_visitors_are_counted_by_their_address(settings):
    caches["default"].clear()
    on_rpc("peek", anonymous=True, rate="1/m")(lambda call: call.address)
    on_rpc("look", anonymous=True, rate="1/m", per="address")(lambda call: call.address)
    visitor = Client(headers={"Sec-Fetch-Site": "same-origin"})

    def status(method, address, **headers):
        response = visitor.post(
            f"/instant/rpc/{method}/", "{}", JSON, REMOTE_ADDR=address, headers=headers,
        )  # fmt: skip
        return response.status_code, response.json().get("data")

    for method in ("peek", "look"):
        assert status(method, "192.0.2.7") == (200, "192.0.2.7")
        assert status(method, "192.0.2.7", x_forwarded_for="192.0.2.99") == (429, None)
        assert status(method, "2001:db8::7") == (200, "2001:db8::/64")
        assert status(method, "2001:db8::8") == (429, None)
    settings.INSTANT = {**settings.INSTANT, "TRUSTED_PROXIES": ["10.0.0.0/8"]}
    assert status("peek", "10.0.0.1", x_forwarded_for="192.0.2.8") == (200, "192.0.2.8")
    assert status("peek", "10.0.0.1", x_forwarded_for="6.6.6.6, 192.0.2.8") == (429, None)
    assert status("peek", "10.0.0.1", x_forwarded_for="192.0.2.7") == (429, None)


def test_where_the_credentials_can_not_be_looked_up_the_caller_tries_again(
    native, add, monkeypatch, caplog
):
    def away(request):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr("tests.views.authenticators.bearer", away)
    response = native.post("/instant/rpc/cart.add/", {"product": 7}, content_type=JSON)
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.json() == {"error": "The server failed; its log says why.", "code": 503}
    assert "server closed the connection" in caplog.text
