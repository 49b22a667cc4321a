"""The endpoints for browsers."""

import json

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import InterfaceError, InternalError, OperationalError, connection
from django.test import Client, override_settings

from instant import Namespace
from instant.revoking import tables
from instant.views import identity
from tests.tracebacks import shown_locals

KEY = "test-hmac-key-0123456789-0123456789-0123456789"
JSON = "application/json"
SAME = {"HTTP_SEC_FETCH_SITE": "same-origin"}


def claims(value):
    return jwt.decode(value, KEY, algorithms=["HS256"], audience="tests")


@pytest.fixture
def web(db):
    """A browser on the site's own pages."""
    return Client(enforce_csrf_checks=True, headers={"Sec-Fetch-Site": "same-origin"})


def post(client, name, body=None, **extra):
    data = "" if body is None else json.dumps(body)
    return client.post(f"/instant/{name}/", data, content_type=JSON, **extra)


# The seed's shapes


def test_login_answers_tokens_and_channels(web, make_user, make_channel):
    user = make_user("ann", groups=["red"])
    make_channel("public")
    make_channel("$users", "users")
    make_channel("$group1", "groups", groups=["red"])
    make_channel("$staff", "staff")
    response = post(web, "login", {"username": "ann", "password": "pw"})
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {
        "csrf_token", "ws_token", "exp", "expire_at", "url", "channels", "next"
    }  # fmt: skip
    assert claims(body["ws_token"])["sub"] == str(user.pk)
    assert claims(body["ws_token"])["exp"] == body["exp"]
    assert [(c["name"], c["level"]) for c in body["channels"]] == [
        ("$group1", "groups"),
        ("$users", "users"),
        ("public", "public"),
        (f"user:{user.pk}", "user"),
    ]
    for channel in body["channels"]:
        found = claims(channel["token"])
        assert found["channel"] == channel["name"]
        assert found["sub"] == str(user.pk)
        assert (found["exp"], found["expire_at"]) == (channel["exp"], channel["expire_at"])
    assert body["next"] is None
    assert web.session["_auth_user_id"] == str(user.pk)


@pytest.mark.parametrize("method", ["get", "post"])
def test_get_token(web, make_user, make_channel, method):
    user = make_user()
    make_channel("public")
    web.force_login(user)
    response = web.get("/instant/get_token/") if method == "get" else post(web, "get_token")
    assert claims(response.json()["ws_token"])["sub"] == str(user.pk)
    assert [c["name"] for c in response.json()["channels"]] == ["public", f"user:{user.pk}"]


def test_subscribe(web, make_user, make_channel):
    make_channel("public")
    web.force_login(make_user())
    body = post(web, "subscribe", {"channels": ["public"]}).json()
    assert [c["name"] for c in body["channels"]] == ["public"]
    assert "ws_token" not in body


def test_named_channels_and_the_ones_that_are_not_there(web, make_user, make_channel):
    make_channel("public")
    make_channel("$staff", "staff")
    make_channel("$off", "users", is_active=False)
    web.force_login(make_user())
    names = ["$staff", "public", "$off", "unknown", "a b", "user:99999", "order:1", "x" * 999]
    for name in ("get_token", "subscribe"):
        body = post(web, name, {"channels": names}).json()
        assert [c["name"] for c in body["channels"]] == ["public"]
    assert post(web, "get_token", {"channels": []}).json()["channels"] == []


def test_anonymous_visitors_get_public_channels(web, make_channel):
    make_channel("public")
    make_channel("$users", "users")
    body = web.get("/instant/get_token/").json()
    assert claims(body["ws_token"])["sub"] == ""
    assert [c["name"] for c in body["channels"]] == ["public"]
    assert claims(body["channels"][0]["token"])["sub"] == ""


@override_settings(INSTANT={"DIR": "/nonexistent", "ANONYMOUS": False})
def test_anonymous_visitors_can_be_kept_out(web, make_user):
    for response in (
        web.get("/instant/get_token/"),
        post(web, "get_token"),
        post(web, "subscribe"),
    ):
        assert (response.status_code, response.json()) == (403, {"error": "Log in first."})
    web.force_login(make_user())
    assert web.get("/instant/get_token/").status_code == 200


def test_at_most_128_channels_and_then_the_next(web, make_user, make_channel):
    for number in range(200):
        make_channel(f"c{number:03}")
    web.force_login(make_user())
    first = web.get("/instant/get_token/").json()
    assert len(first["channels"]) == 128
    assert first["next"] == "c126"  # 127 of them, and the user's own
    rest = web.post("/instant/subscribe/?after=c126", "", content_type=JSON).json()
    assert [c["name"] for c in rest["channels"]] == [f"c{n}" for n in range(127, 200)]
    assert rest["next"] is None


def test_queries(web, make_user, make_channel, django_assert_max_num_queries):
    user = make_user(groups=[f"g{n}" for n in range(20)])
    for number in range(30):
        make_channel(f"$c{number}", "groups", groups=[f"g{n}" for n in range(20)])
    web.force_login(user)
    with django_assert_max_num_queries(4):
        response = web.get("/instant/get_token/")
    assert len(response.json()["channels"]) == 31
    with django_assert_max_num_queries(4):
        post(web, "get_token", {"channels": [f"$c{n}" for n in range(30)]})


# login/


def test_credentials_are_checked_even_when_logged_in(web, make_user):
    first, second = make_user("first"), make_user("second")
    web.force_login(first)
    response = post(web, "login", {"username": "second", "password": "wrong"})
    assert response.status_code == 403
    assert web.session["_auth_user_id"] == str(first.pk)
    post(web, "login", {"username": "second", "password": "pw"})
    assert web.session["_auth_user_id"] == str(second.pk)


@pytest.mark.parametrize("case", ["wrong password", "unknown user", "inactive user"])
def test_bad_credentials_are_json(web, make_user, case):
    make_user("ann", is_active=case != "inactive user")
    name = "bob" if case == "unknown user" else "ann"
    password = "no" if case == "wrong password" else "pw"
    response = post(web, "login", {"username": name, "password": password})
    assert response.status_code == 403
    assert response.json() == {"error": "Wrong user name or password."}
    assert "_auth_user_id" not in web.session


class AsksForTheRequest:
    """A backend like django-axes: it needs the request, and may refuse with an exception."""

    def authenticate(self, request, username=None, password=None):
        assert request is not None
        assert request.path == "/instant/login/"
        if username == "locked":
            raise PermissionDenied
        return get_user_model().objects.get(username="ann")

    def get_user(self, pk):
        return get_user_model().objects.get(pk=pk)


@override_settings(AUTHENTICATION_BACKENDS=["tests.views.test_identity.AsksForTheRequest"])
def test_the_request_goes_to_authenticate(web, make_user):
    make_user("ann")
    assert post(web, "login", {"username": "x", "password": "y"}).status_code == 200
    assert post(web, "login", {"username": "locked", "password": "y"}).status_code == 403


@override_settings(INSTANT={"DIR": "/nonexistent", "LOGIN": False})
def test_login_can_be_switched_off(web, make_user):
    make_user("ann")
    response = post(web, "login", {"username": "ann", "password": "pw"})
    assert response.status_code == 403
    assert "switched off" in response.json()["error"]


def test_the_session_key_changes_at_login(web, make_user):
    make_user("ann")
    session = web.session
    session["x"] = 1
    session.save()
    before = session.session_key
    post(web, "login", {"username": "ann", "password": "pw"})
    assert web.session.session_key != before


# logout/


def test_logout(web, make_user):
    web.force_login(make_user())
    assert post(web, "logout").json() == {}
    assert "_auth_user_id" not in web.session
    assert post(web, "logout").status_code == 200


def test_logout_is_no_get(web, make_user):
    web.force_login(make_user())
    response = web.get("/instant/logout/")
    assert response.status_code == 405
    assert response["Allow"] == "POST"
    assert "_auth_user_id" in web.session


@pytest.mark.parametrize("name", ["login", "subscribe", "logout"])
@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_other_methods(web, name, method):
    response = getattr(web, method)(f"/instant/{name}/")
    assert (response.status_code, response["Content-Type"]) == (405, JSON)


# Malformed requests


@pytest.mark.parametrize(
    "raw",
    [
        b"{", b"[]", b"5", b'"x"', b"null", b"\xff\xfe", b"[" * 20000, b"NaN",
        b'{"channels": 5}', b'{"channels": "public"}', b'{"channels": [5]}',
        b'{"channels": {"a": 1}}', b'{"channels": [null]}',
        json.dumps({"channels": ["x"] * 257}).encode(),
        b'{"channels": ["' + b"x" * 66_000 + b'"]}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["get_token", "subscribe", "login"])
def test_malformed_bodies_are_400_with_a_reason(web, raw, name):
    response = web.post(f"/instant/{name}/", raw, content_type=JSON)
    assert response.status_code == 400
    assert response["Content-Type"] == JSON
    assert response.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"username": "a"}, {"password": "a"}, {"username": 5, "password": "a"},
        {"username": "a", "password": None}, {"username": "", "password": "a"},
        {"username": ["a"], "password": "a"}, {"username": "a\0b", "password": "x"},
        {"username": "\ud800", "password": "x"}, {"username": "x", "password": "\udfff"},
    ],
)  # fmt: skip
def test_malformed_logins(web, body):
    assert post(web, "login", body).status_code == 400


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "", "text/json", "application/json-seq"],
)
def test_only_json_is_read(web, make_user, kind):
    """4.2.0 took a cross-site form's text/plain for a login."""
    make_user("ann")
    body = json.dumps({"username": "ann", "password": "pw"})
    response = web.post("/instant/login/", body, content_type=kind)
    assert response.status_code == 400
    assert "application/json" in response.json()["error"]


@pytest.mark.parametrize("length", ["²", "-5", "x", "99999999", "65537"])
def test_an_odd_length(web, length):
    response = web.post("/instant/subscribe/", "{}", content_type=JSON, CONTENT_LENGTH=length)
    assert response.status_code == 400


def test_a_body_over_the_sites_own_limit(web):
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert post(web, "subscribe", {"channels": ["x" * 50]}).status_code == 400


def test_a_form_with_a_csrf_token_is_400_too(db):
    client = Client(enforce_csrf_checks=True)
    token = client.get("/instant/get_token/").json()["csrf_token"]
    response = client.post("/instant/subscribe/", {"csrfmiddlewaretoken": token})
    assert response.status_code == 400


def test_a_body_without_length_is_measured_too(rf):
    request = rf.post("/", b"{}", content_type=JSON, headers={"Sec-Fetch-Site": "same-origin"})
    request.META["CONTENT_LENGTH"] = ""
    request._body = b'{"a":"' + b"x" * 70_000 + b'"}'  # as a chunked one arrives under ASGI
    assert identity.subscribe(request).status_code == 400


@override_settings(
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"],
)
def test_a_deactivated_user_is_anonymous_everywhere(web, make_user, make_channel):
    make_channel("public")
    web.force_login(make_user(is_active=False))
    body = web.get("/instant/get_token/").json()
    assert claims(body["ws_token"])["sub"] == ""
    assert [c["name"] for c in body["channels"]] == ["public"]
    with override_settings(INSTANT={"DIR": "/nonexistent", "ANONYMOUS": False}):
        assert web.get("/instant/get_token/").status_code == 403


def test_nul_in_after(web):
    assert web.get("/instant/get_token/?after=%00").status_code == 400


def test_256_names_are_fine(web):
    assert post(web, "get_token", {"channels": [f"c{n}" for n in range(256)]}).status_code == 200


# Cross-site


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://testserver"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://trusted.example"}, 200),
        ({"Origin": "https://a.wild.example"}, 200),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://testserver"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://sub.testserver"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://testserver"}, 403),  # the request came over http
        ({"Origin": "http://testserver.evil.example"}, 403),
        ({"Origin": "http://a.wild.example"}, 403),
        ({"Origin": "https://wild.example.evil"}, 403),
        ({"Origin": "http://[broken"}, 403),
        ({}, 403),  # neither: Django's own check, and there is no CSRF token
    ],
)
@override_settings(CSRF_TRUSTED_ORIGINS=["https://trusted.example", "https://*.wild.example"])
@pytest.mark.parametrize("name", ["login", "logout", "get_token", "subscribe"])
def test_cross_site_posts(make_user, headers, status, name):
    make_user("ann")
    client = Client(enforce_csrf_checks=True)
    body = {"username": "ann", "password": "pw"}
    response = post(client, name, body, headers=headers)
    assert response.status_code == status
    assert response["Content-Type"] == JSON
    if status == 403:
        assert "_auth_user_id" not in client.session


def test_without_these_headers_djangos_csrf_token_decides(make_user):
    make_user("ann")
    client = Client(enforce_csrf_checks=True)
    token = client.get("/instant/get_token/").json()["csrf_token"]
    body = {"username": "ann", "password": "pw"}
    response = post(client, "login", body, headers={"X-CSRFToken": "wrong" + token[5:]})
    assert response.status_code == 403
    response = post(client, "login", body, headers={"X-CSRFToken": token})
    assert response.status_code == 200
    again = response.json()["csrf_token"]
    assert post(client, "logout", headers={"X-CSRFToken": again}).status_code == 200


# Manners


def test_no_store_and_no_redirect_under_login_required_middleware(make_channel):
    with override_settings(
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
    ):
        response = Client().get("/instant/get_token/")
    assert response.status_code == 200
    assert response["Cache-Control"] == "private, no-store"
    assert response["Vary"] == "*"


@pytest.fixture
def reports():
    """What an error tracker would send of each failed request."""
    seen = []

    def report(request, **kwargs):
        seen.append(shown_locals(request))

    got_request_exception.connect(report)
    yield seen
    got_request_exception.disconnect(report)


@pytest.mark.django_db
def test_a_failure_is_json_without_a_trace_and_logged(caplog, reports):
    with override_settings(CENTRIFUGO_HMAC_KEY=None, DEBUG=True):
        response = Client(raise_request_exception=False).get("/instant/get_token/")
    assert response.status_code == 500
    assert len(reports) == 1
    assert response.json() == {"error": "The server failed; its log says why."}
    assert "CENTRIFUGO_HMAC_KEY is not set" in caplog.text


@pytest.mark.django_db
def test_a_foreign_host_header_is_400(caplog):
    response = Client(raise_request_exception=False).get(
        "/instant/get_token/", headers={"Host": "evil.example"}
    )
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("request_extra", "settings_extra", "url"),
    [
        ({}, {}, "ws://testserver:8427/connection/websocket"),
        ({"secure": True}, {}, "wss://testserver:8427/connection/websocket"),
        ({}, {"CENTRIFUGO_PORT": 9000}, "ws://testserver:9000/connection/websocket"),
        (
            {"headers": {"Host": "localhost:8000"}},
            {},
            "ws://localhost:8427/connection/websocket",
        ),
        (
            {},
            {"INSTANT": {"DIR": "/nonexistent", "PUBLIC_URL": "wss://push.example/ws"}},
            "wss://push.example/ws",
        ),
        (
            {},
            {"INSTANT": {"DIR": "/nonexistent", "PUBLIC_URL": ("wss://a.example/ws", "ws://b")}},
            ["wss://a.example/ws", "ws://b/connection/websocket"],
        ),
    ],
)
def test_where_the_browser_finds_the_server(db, request_extra, settings_extra, url):
    with override_settings(**settings_extra):
        assert Client().get("/instant/get_token/", **request_extra).json()["url"] == url


class Raises:
    """An authentication backend with a bug."""

    def authenticate(self, request, username=None, password=None):
        raise LookupError


@override_settings(AUTHENTICATION_BACKENDS=["tests.views.test_identity.Raises"])
def test_a_password_is_in_no_report(rf, reports):
    body = json.dumps({"username": "a", "password": "hunter2"})
    request = rf.post("/", body, content_type=JSON, headers={"Sec-Fetch-Site": "same-origin"})
    assert identity.login(request).status_code == 500
    assert "username" in reports[0]
    assert "hunter2" not in reports[0]


@pytest.mark.django_db
def test_no_secret_in_an_answer_or_a_log(web, make_user, caplog):
    make_user("ann")
    caplog.set_level("DEBUG")
    text = post(web, "login", {"username": "ann", "password": "pw"}).content.decode()
    post(web, "login", {"username": "ann", "password": "not-this-one"})
    for secret in (KEY, "test-api-key"):
        assert secret not in text
        assert secret not in caplog.text
    assert "not-this-one" not in caplog.text


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, InternalError])
@pytest.mark.parametrize("name", ["get_token", "subscribe"])
def test_what_a_rule_can_not_decide_now_is_not_refused(
    registry, web, post, make_user, make_channel, caplog, error, name
):
    """The database was restarted: a page must not take that for a no until it reconnects."""

    def rule(self, user, pk):
        if pk == 7:
            raise error("server closed the connection")
        return pk == 1

    def presence(self, user, pk):
        raise error("server closed the connection")

    make_channel("public")
    declare = {"pattern": "<int:pk>", "can_subscribe": rule}
    type("Broken", (Namespace,), {**declare, "name": "broken"})
    type("Whole", (Namespace,), {**declare, "name": "whole"})
    type("Half", (Namespace,), {**declare, "name": "half", "can_see_presence": presence})
    web.force_login(make_user())
    names = ["broken:7", "whole:1", "whole:2", "half:1", "public", "none:1", "broken:1"]
    answer = post(web, name, {"channels": names}).json()
    assert [channel["name"] for channel in answer["channels"]] == ["whole:1", "public"]
    assert answer["unknown"] == ["broken:7", "half:1", "broken:1"]
    assert "Broken can't decide now" in caplog.text
    answer = post(web, name, {"channels": ["whole:1", "whole:2"]}).json()
    assert "unknown" not in answer


@pytest.mark.parametrize("debug", [True, False])
def test_before_migrate_the_log_says_what_to_do(web, caplog, settings, monkeypatch, debug):
    """In a new project, and during a deploy: one line instead of a traceback for each request."""
    settings.DEBUG = debug
    monkeypatch.setattr(tables, "_found", set())

    def missing(execute, sql, params, many, context):
        if "instant_" in sql:
            raise OperationalError("no such table: instant_channel")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(missing):
        response = post(web, "get_token")
    assert response.status_code == 503
    assert ("manage.py migrate" in response.json()["error"]) is debug
    [record] = [record for record in caplog.records if record.name == "instant.views"]
    assert "run “manage.py migrate”" in record.message
    assert record.exc_info is None
