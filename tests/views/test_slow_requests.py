"""Tokens of a slow request count from its start, whatever serves it."""

import contextlib
import io
import json
import time

import jwt
import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from django.utils.decorators import async_only_middleware

BODY = b'{"channels": []}'
SLOW = "tests.views.test_slow_requests"
clock = [0.0]


class Slow:
    """A middleware that knows the user, and then takes 13 s."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        assert request.user.is_anonymous
        clock[0] += 13
        return self.get_response(request)


@async_only_middleware
def aslow(get_response):
    async def middleware(request):
        assert (await request.auser()).is_anonymous
        clock[0] += 13
        return await get_response(request)

    return middleware


def over_asgi(path):
    """Ask as an ASGI server does."""

    async def ask():
        headers = {
            "host": "testserver", "content-type": "application/json",
            "sec-fetch-site": "same-origin", "content-length": str(len(BODY)),
        }  # fmt: skip
        scope = {
            "type": "http", "method": "POST", "path": path, "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        server = ApplicationCommunicator(ASGIHandler(), scope)
        await server.send_input({"type": "http.request", "body": BODY})
        start = await server.receive_output(5)
        body = await server.receive_output(5)
        await server.wait()
        assert start["status"] == 200
        return json.loads(body["body"])

    return async_to_sync(ask)()


def over_wsgi(path):
    """Ask as a WSGI server does."""
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "SERVER_NAME": "testserver",
        "SERVER_PORT": "80", "wsgi.input": io.BytesIO(BODY), "wsgi.url_scheme": "http",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(BODY)),
        "HTTP_SEC_FETCH_SITE": "same-origin",
    }  # fmt: skip
    response = WSGIHandler()(environ, lambda status, headers: None)
    with contextlib.closing(response):
        return json.loads(b"".join(response))


@pytest.mark.parametrize("middleware", ["Slow", "aslow"])
@pytest.mark.parametrize("ask", [over_asgi, over_wsgi])
@pytest.mark.django_db
def test_a_slow_request_gets_no_fresh_token(ask, middleware, monkeypatch):
    clock[0] = time.time()
    monkeypatch.setattr(time, "time", lambda: clock[0])
    middleware = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        f"{SLOW}.{middleware}",
    ]
    with override_settings(MIDDLEWARE=middleware):
        for _ in range(2):
            began = clock[0]
            answer = ask("/instant/get_token/")
            assert clock[0] == began + 13
            claims = jwt.decode(answer["ws_token"], options={"verify_signature": False})
            assert claims["exp"] == answer["exp"] == int(began) + 30
