"""No answer of ours is kept by a cache, whatever cache it is."""

import json
import time

import jwt
import pytest
from django.middleware.cache import UpdateCacheMiddleware
from django.test import Client, override_settings
from django.utils.cache import (
    get_max_age,
    has_vary_header,
    learn_cache_key,
    patch_cache_control,
    patch_response_headers,
)

CACHE = "django.middleware.cache"
SESSIONS = [
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
INSTANT = {
    "DIR": "/nonexistent/instant",
    "AUTHENTICATION": ["tests.views.authenticators.api_key"],
}


class IgnoresNoStore(UpdateCacheMiddleware):
    """Django's from 5.2 to 5.2.14: it stores what says “no-store”, and not what says “private”."""

    def process_response(self, request, response):
        if not self._should_update_cache(request, response):
            return response
        if response.streaming or response.status_code not in (200, 304):
            return response
        if not request.COOKIES and response.cookies and has_vary_header(response, "Cookie"):
            return response
        if "private" in response.get("Cache-Control", ()):
            return response
        timeout = get_max_age(response) or self.cache_timeout
        patch_response_headers(response, timeout)
        if response.status_code == 200:
            key = learn_cache_key(request, response, timeout, self.key_prefix, cache=self.cache)
            self.cache.set(key, response, timeout)
        return response


class Opens:
    """A middleware that makes everything public."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        del response["Cache-Control"]
        patch_cache_control(response, public=True, max_age=600)
        response["Vary"] = "Accept-Encoding"
        return response


def cached_by(update, *inner):
    return [update, *inner, *SESSIONS, f"{CACHE}.FetchFromCacheMiddleware"]


SITES = {
    "this Django": cached_by(f"{CACHE}.UpdateCacheMiddleware"),
    "Django 5.2": cached_by("tests.views.test_caching.IgnoresNoStore"),
    "headers rewritten": cached_by(
        "tests.views.test_caching.IgnoresNoStore", "tests.views.test_caching.Opens"
    ),
}


@pytest.mark.parametrize("site", SITES)
def test_everybody_gets_a_token_of_their_own_made_for_this_request(make_user, site, monkeypatch):
    """By a header that no cache knows, by a session, and by nothing at all."""
    users = {name: make_user(name) for name in ("ann", "bob", "eve")}
    session = Client()
    session.force_login(users["eve"])
    with override_settings(MIDDLEWARE=SITES[site], INSTANT=INSTANT):
        asked = [
            (Client(headers={"X-Api-Key": "ann"}), "ann"),
            (Client(headers={"X-Api-Key": "bob"}), "bob"),
            (Client(), None),
            (session, "eve"),
            (Client(headers={"X-Api-Key": "ann"}), "ann"),
        ]
        moment = time.time()
        for number, (client, name) in enumerate(asked):
            monkeypatch.setattr(time, "time", lambda later=moment + 100 * number: later)
            answer = client.get("/instant/get_token/").json()
            claims = jwt.decode(answer["ws_token"], options={"verify_signature": False})
            assert claims["sub"] == (str(users[name].pk) if name else "")
            assert claims["exp"] == int(time.time()) + 30, "an old token"


@pytest.mark.parametrize("method", ["get", "post", "head", "options", "put"])
@pytest.mark.parametrize(
    "name",
    [
        "login", "logout", "get_token", "subscribe", "presence", "history", "snapshot",
        "messages/outstanding", "messages/acknowledge", "proxy/subscribe", "proxy/publish", "proxy/sub_refresh",
    ],
)  # fmt: skip
def test_every_answer_says_that_it_is_for_nobody_else(db, method, name):
    for client in (Client(), Client(headers={"Sec-Fetch-Site": "same-origin"})):
        response = getattr(client, method)(f"/instant/{name}/")
        assert response["Cache-Control"] == "private, no-store"
        assert response["Vary"] == "*"


@pytest.mark.parametrize(
    "extra",
    [
        {"INSTANT": {"NOPE": 1}},
        {"INSTANT": {**INSTANT, "AUTHENTICATION": ["tests.views.authenticators.buggy"]}},
        {"INSTANT": {**INSTANT, "AUTHENTICATION": ["tests.views.authenticators.bearer"]}},
        {
            "INSTANT": {
                **INSTANT,
                "AUTHENTICATION": ["rest_framework.authentication.TokenAuthentication"],
            }
        },
        {"ALLOWED_HOSTS": [], "MIDDLEWARE": SESSIONS[1:]},
    ],
    ids=["500", "an authenticator's bug", "401", "Django REST Framework", "400"],
)
def test_failures_say_so_too(db, extra):
    client = Client(headers={"Authorization": "Token nobody"}, raise_request_exception=False)
    with override_settings(**extra):
        response = client.get("/instant/get_token/")
    assert "error" in json.loads(response.content) or response.status_code == 200
    assert response["Cache-Control"] == "private, no-store"
    assert response["Vary"] == "*"
