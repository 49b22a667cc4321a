"""Sites that are set up in other ways: middleware, CSRF, user model, DEBUG."""

import json
import os
import re
import subprocess
import sys

import pytest
from django.test import Client, override_settings

SAME = {"Sec-Fetch-Site": "same-origin"}
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
CACHE = [
    "django.middleware.cache.UpdateCacheMiddleware",
    COMMON,
    SESSION,
    AUTH,
    "django.middleware.cache.FetchFromCacheMiddleware",
]
ENDPOINTS = ["login", "logout", "get_token", "subscribe"]


class Reader:
    """A middleware that reads the form of each POST, as some loggers do."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        assert not request.POST.get("password")
        return self.get_response(request)


class Forbids:
    """An older site's way to hide everything from anonymous visitors."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        assert not getattr(view, "login_required", True)


def round_trip(client, post, name="ann"):
    """Ask for tokens, log in, subscribe and log out; return the answers."""
    body = {"username": name, "password": "pw"}
    found = [
        client.get("/instant/get_token/"),
        post(client, "login", body, headers=SAME),
        post(client, "subscribe", {"channels": ["$users"]}, headers=SAME),
        post(client, "logout", headers=SAME),
        client.get("/instant/get_token/"),
    ]
    for response in found:
        assert response["Content-Type"] == "application/json"
        assert "no-store" in response["Cache-Control"]
        assert "Location" not in response
    return found


MIDDLEWARE = [
    [SESSION, AUTH],
    [SESSION, AUTH, CSRF],
    [CSRF, SESSION, AUTH],
    [SESSION, AUTH, LOGIN_REQUIRED],
    [SECURITY, SESSION, COMMON, CSRF, AUTH, LOGIN_REQUIRED],
    [SESSION, AUTH, "tests.views.test_sites.Reader"],
    [SESSION, AUTH, "tests.views.test_sites.Forbids"],
    [GZIP, SESSION, AUTH],
    CACHE,
]
SETTINGS = [
    {},
    {"CSRF_USE_SESSIONS": True},
    {"CSRF_COOKIE_HTTPONLY": True},
    {"APPEND_SLASH": False, "PREPEND_WWW": False},
    {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"},
]


def sites():
    """Combine the two, where Django takes both: tokens in sessions want the session before."""
    for number, middleware in enumerate(MIDDLEWARE):
        for extra in SETTINGS:
            if not extra.get("CSRF_USE_SESSIONS") or middleware[0] != CSRF:
                name = f"{next(iter(extra), 'plain')}-middleware{number}"
                yield pytest.param(middleware, extra, id=name)


@pytest.mark.parametrize(("middleware", "extra"), list(sites()))
def test_middleware_and_csrf(make_user, make_channel, post, middleware, extra):
    make_user("ann")
    make_channel("$users", "users")
    with override_settings(MIDDLEWARE=middleware, **extra):
        found = round_trip(Client(enforce_csrf_checks=True), post)
        assert [response.status_code for response in found] == [200] * 5
        assert [c["name"] for c in found[2].json()["channels"]] == ["$users"]
        assert [c["name"] for c in found[4].json()["channels"]] == []
        refused = Client(enforce_csrf_checks=True).post(
            "/instant/subscribe/", "{}", content_type="application/json"
        )
        assert refused.status_code == 403


@pytest.mark.parametrize(
    "extra", [{}, {"CSRF_USE_SESSIONS": True}, {"CSRF_COOKIE_HTTPONLY": True}], ids=str
)
def test_the_csrf_token_of_an_answer_is_good_where_no_cookie_can_be_read(make_user, post, extra):
    """That is why it is in the answer."""
    make_user("ann")
    with override_settings(**extra):
        client = Client(enforce_csrf_checks=True)
        token = client.get("/instant/get_token/").json()["csrf_token"]
        body = {"username": "ann", "password": "pw"}
        answer = post(client, "login", body, headers={"X-CSRFToken": token})
        assert answer.status_code == 200
        token = answer.json()["csrf_token"]
        another = ("x" if token[0] != "x" else "y") + token[1:]
        assert post(client, "logout", headers={"X-CSRFToken": another}).status_code == 403
        assert post(client, "logout", headers={"X-CSRFToken": token}).status_code == 200


def test_the_csrf_check_does_not_need_its_middleware(make_user, post):
    secret = "a" * 32
    with override_settings(MIDDLEWARE=[SESSION, AUTH]):
        client = Client(enforce_csrf_checks=True)
        client.cookies["csrftoken"] = secret
        assert post(client, "logout", headers={"X-CSRFToken": "b" * 32}).status_code == 403
        assert post(client, "logout", headers={"X-CSRFToken": secret}).status_code == 200


FAILURES = {
    "no key": {"CENTRIFUGO_HMAC_KEY": None},
    "a wrong setting": {"INSTANT": {"NOPE": 1}},
    "no session middleware": {"MIDDLEWARE": []},
    "a backend that is not there": {"AUTHENTICATION_BACKENDS": ["nowhere.Backend"]},
    "an authenticator that is not there": {
        "INSTANT": {"DIR": "/nonexistent", "AUTHENTICATION": ["nowhere.at_all"]}
    },
}


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_no_stack_trace_leaks(make_user, post, debug, failure, name):
    user = make_user("ann")
    client = Client(raise_request_exception=False)
    client.force_login(user)
    body = {"username": "ann", "password": "hunter2-is-the-password"}
    with override_settings(DEBUG=debug, **FAILURES[failure]):
        response = post(client, name, body, headers=SAME)
    assert response["Content-Type"] == "application/json"
    text = response.content.decode()
    assert not re.search(r"Traceback|File |\.py|hunter2|nowhere|NOPE|SECRET|HMAC", text)
    if response.status_code == 500:
        assert response.json() == {"error": "The server failed; its log says why."}


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    "raw", [b"{", b"\xff", b"[]", b'{"channels": 5, "username": 5}', b"x" * 70_000]
)
def test_no_stack_trace_for_bad_input_either(db, debug, name, raw):
    with override_settings(DEBUG=debug):
        response = Client(raise_request_exception=False).post(
            f"/instant/{name}/?after=%ED%A0%80%ff",
            raw,
            content_type="application/json",
            headers=SAME,
        )
    assert response.status_code in {400, 200}
    assert set(response.json()) <= {"error"}


PERSON = """
import json
import django
django.setup()
from django.core.management import call_command
from django.test import Client
from django.test.utils import setup_test_environment
setup_test_environment()
call_command("migrate", run_syncdb=True, verbosity=0)
from tests.customuser.models import Person
from instant.models import Channel
person = Person(email="Ann@Example.com")
person.set_password("pw")
person.save()
Channel.objects.create(name="$users", level="users")
client = Client(headers={"Sec-Fetch-Site": "same-origin"})
def login(name, password):
    return client.post("/instant/login/", json.dumps({"username": name, "password": password}),
                       content_type="application/json")
found = [login("Ann@Example.com", "no").status_code for _ in range(10)]
found += [login("ann@example.COM", "pw").status_code]
from django.core.cache import cache
cache.clear()
answer = login("Ann@Example.com", "pw")
found += [answer.status_code, [c["name"] for c in answer.json()["channels"]], str(person.pk)]
Person.objects.update(is_active=False)
found += [client.get("/instant/get_token/").json()["channels"]]
print(json.dumps(found))
"""


def test_a_user_model_with_an_email_and_a_uuid(tmp_path):
    (tmp_path / "person_settings.py").write_text(
        "from tests.settings import *\n"
        'INSTALLED_APPS = [*INSTALLED_APPS, "tests.customuser"]\n'
        'INSTALLED_APPS.remove("rest_framework.authtoken")\n'
        'INSTALLED_APPS.remove("django.contrib.admin")\n'
        'ROOT_URLCONF = "person_urls"\n'
        'AUTH_USER_MODEL = "customuser.Person"\n'
    )
    (tmp_path / "person_urls.py").write_text(
        "from django.urls import include, path\n"
        'urlpatterns = [path("instant/", include("instant.urls"))]\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", PERSON],
        env={
            "PYTHONPATH": f"{tmp_path}:.",
            "DJANGO_SETTINGS_MODULE": "person_settings",
            "PATH": os.environ["PATH"],
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *guesses, throttled, status, names, pk, after = json.loads(done.stdout)
    assert guesses == [403] * 10
    assert throttled == 429
    assert status == 200
    assert set(names) == {"$users", f"user:{pk}"}
    assert after == []
