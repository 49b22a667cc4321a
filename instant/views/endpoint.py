"""
What all endpoints for browsers have in common.

JSON in and JSON out, for no cache, no redirect to a login page, no stack trace. 400 says what
is wrong with the request, 401 that its own credentials are, 403 that it may not, 429 when it
may be tried again.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.core.signals import got_request_exception
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.http import is_same_domain
from django.views.decorators.csrf import csrf_exempt

from instant import conf
from instant.revoking import tables
from instant.rights.primary import read_user_again, reading_from_primary
from instant.views import credentials
from instant.views.body import BodyRefused, read_body
from instant.views.caching import keep_out_of_caches
from instant.views.login_throttle import TooManyFailures

__all__ = ["BadRequest", "Body", "Forbidden", "Unavailable", "endpoint"]

logger = logging.getLogger("instant.views")

MAX_BODY = 64 * 1024
"""Bytes of a request's body."""

_FAILED = "The server failed; its log says why."

Body = dict[str, Any]
View = Callable[[HttpRequest, Body], dict[str, Any]]


class _Answered(Exception):
    """Answered with its status and its text."""

    status: int


class BadRequest(_Answered):
    """Answered with 400 and its text."""

    status = 400


class Forbidden(_Answered):
    """Answered with 403 and its text."""

    status = 403


class Unavailable(_Answered):
    """Answered with its text and 503 (nothing answers), or 502 (what answers can't tell)."""

    def __init__(self, text: str, *, status: int = 503) -> None:
        super().__init__(text)
        self.status = status


def endpoint(
    *methods: str, own_credentials: bool = False
) -> Callable[[View], Callable[[HttpRequest], HttpResponse]]:
    """
    Make a browser endpoint of a function from request and body to the answer's object.

    The body of a POST is a JSON object of at most 64 kB with the content type
    application/json; an empty one counts as ``{}``. A POST from another site is refused.
    With ``own_credentials`` the user may be one whom ``INSTANT["AUTHENTICATION"]`` finds in
    the request, else the session's.
    """

    def decorate(view: View) -> Callable[[HttpRequest], HttpResponse]:
        @functools.wraps(view)
        def answer(request: HttpRequest) -> HttpResponse:
            with reading_from_primary():
                response = _answer(view, request, methods, own_credentials)
            keep_out_of_caches(request, response)
            return response

        # The cross-site check is _check_site(); Django's own runs there where it is needed.
        return login_not_required(csrf_exempt(answer))

    return decorate


def _answer(
    view: View, request: HttpRequest, methods: tuple[str, ...], own_credentials: bool
) -> HttpResponse:
    try:
        if request.method not in methods:
            response = _error(405, f"Use {' or '.join(methods)}.")
            response["Allow"] = ", ".join(methods)
            return response
        read_user_again(request)
        explicit = own_credentials and _has_own_credentials(request)
        if request.method != "POST":
            return JsonResponse(view(request, {}))
        if not explicit:
            _check_site(request)
        return JsonResponse(view(request, _body(request)))
    except _Answered as exc:
        return _error(exc.status, str(exc))
    except credentials.WrongCredentials as exc:
        response = _error(401, str(exc))
        response["WWW-Authenticate"] = exc.challenge
        return response
    except TooManyFailures as exc:
        response = _error(429, str(exc))
        response["Retry-After"] = str(exc.retry_after)
        return response
    except DisallowedHost:
        return _error(400, "The Host header names a host that is not in ALLOWED_HOSTS.")
    except Exception as exc:
        if isinstance(exc, DatabaseError) and not tables.are_there():
            return _not_migrated(request)
        # A page's script can do nothing with an HTML page, and nobody should read a traceback.
        logger.exception("%s %s failed.", request.method, request.path)
        got_request_exception.send(sender=None, request=request)
        return _error(500, _FAILED)


def _not_migrated(request: HttpRequest) -> JsonResponse:
    """Answer while code is there and its tables aren't: in a new project, or during a deploy."""
    text = "Instant's tables are not in the database: run “manage.py migrate”."
    logger.error("%s %s failed. %s", request.method, request.path, text)
    return _error(503, text if settings.DEBUG else _FAILED)


def _error(status: int, text: str) -> JsonResponse:
    return JsonResponse({"error": text}, status=status)


def _has_own_credentials(request: HttpRequest) -> bool:
    """
    Let the request's own credentials say who it is; tell whether no browser added them.

    Only then is there nothing that another site's page could use. Credentials that are wrong
    raise; those that nobody knows leave the session's user, and the cross-site check.
    """
    paths = conf.current().authentication
    if not paths:
        return False
    if request.method == "POST":
        _read(request)
    user = credentials.authenticate(request, paths)
    if user is not None:
        request.user = user
    elif "user" not in request.__dict__:  # a site without sessions
        request.user = AnonymousUser()
    explicit = user is not None and not credentials.is_ambient(request)
    # Whoever needs no CSRF token gets none: it would begin a session, where sessions keep it.
    request.needs_csrf_token = not explicit  # type: ignore[attr-defined]
    return explicit


def _read(request: HttpRequest) -> bytes:
    try:
        return read_body(request, MAX_BODY)
    except BodyRefused as exc:
        raise BadRequest(str(exc)) from None


def _body(request: HttpRequest) -> Body:
    raw = _read(request)
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise BadRequest("The content type must be application/json.")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def _check_site(request: HttpRequest) -> None:
    """
    Refuse a POST that another site's page has sent.

    Browsers say where a request comes from: ``Sec-Fetch-Site``, and ``Origin`` with every
    POST. Only where both are missing is it Django's own check with its CSRF token. Source:
    Fetch Metadata Request Headers, section 2.4; RFC 6454.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site == "same-origin":
        return
    if origin is not None:
        if not _is_own(request, origin):
            raise Forbidden("The request comes from another site; see CSRF_TRUSTED_ORIGINS.")
        return
    if site is not None:
        raise Forbidden("The request comes from another site; see CSRF_TRUSTED_ORIGINS.")
    check = CsrfViewMiddleware(_nothing)
    check.process_request(request)
    if check.process_view(request, _nothing, (), {}) is not None:
        raise Forbidden("The CSRF token is missing or wrong.")


def _nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def _is_own(request: HttpRequest, origin: str) -> bool:
    own = f"{'https' if request.is_secure() else 'http'}://{request.get_host()}"
    if origin == own or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        given = urlsplit(origin)
    except ValueError:
        return False
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        scheme, _, host = trusted.partition("://")
        if (
            host.startswith("*")
            and given.scheme == scheme
            and is_same_domain(given.netloc, host[1:])
        ):
            return True
    return False
