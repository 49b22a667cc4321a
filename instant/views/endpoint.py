"""
What all endpoints for browsers have in common.

For no cache, no redirect to a login page, no stack trace. 400 says what is wrong with the
request, 401 that its own credentials are, 403 that it may not, 429 when it may be tried again.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.core.signals import got_request_exception
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from instant import conf
from instant.revoking import tables
from instant.rights import credentials
from instant.rights.primary import read_user_again, reading_from_primary
from instant.views.caching import keep_out_of_caches
from instant.views.cross_site import check_site
from instant.views.errors import Answered, BadRequest, Forbidden, Unavailable
from instant.views.formats import Body, Format, JsonObjects
from instant.views.login_throttle import TooManyFailures

__all__ = ["BadRequest", "Body", "Forbidden", "Unavailable", "View", "endpoint"]

logger = logging.getLogger("instant.views")

_FAILED = "The server failed; its log says why."

View = Callable[..., Mapping[str, Any]]
"""From request, body and what the address names to the answer's object."""


def endpoint(
    *methods: str, own_credentials: bool = False, form: Format | None = None
) -> Callable[[View], Callable[..., HttpResponse]]:
    """
    Make a browser endpoint of a function from request and body to the answer's object.

    The body of a POST is a JSON object of at most 64 kB with the content type
    application/json, where ``form`` says nothing else; an empty one counts as ``{}``. A POST from
    another site is refused. With ``own_credentials`` the user may be one whom
    ``INSTANT["AUTHENTICATION"]`` finds in the request, else the session's.
    """
    chosen = JsonObjects() if form is None else form

    def decorate(view: View) -> Callable[..., HttpResponse]:
        @functools.wraps(view)
        def answer(request: HttpRequest, **named: str) -> HttpResponse:
            with reading_from_primary():
                response = _answer(
                    functools.partial(view, **named), request, methods, own_credentials, chosen
                )
            keep_out_of_caches(request, response)
            return response

        # The cross-site check is check_site(); Django's own runs there where it is needed.
        return login_not_required(csrf_exempt(answer))

    return decorate


def _answer(
    view: View, request: HttpRequest, methods: tuple[str, ...], own_credentials: bool, form: Format
) -> HttpResponse:
    try:
        return _result(view, request, methods, own_credentials, form)
    except Answered as exc:
        return form.error(request, exc)
    except credentials.WrongCredentials as exc:
        headers = {"WWW-Authenticate": exc.challenge}
        return form.error(request, Answered(str(exc), status=401, headers=headers))
    except TooManyFailures as exc:
        headers = {"Retry-After": str(exc.retry_after)}
        return form.error(request, Answered(str(exc), status=429, headers=headers))
    except DisallowedHost:
        text = "The Host header names a host that is not in ALLOWED_HOSTS."
        return form.error(request, BadRequest(text))
    except Exception as exc:
        if isinstance(exc, DatabaseError) and not tables.are_there():
            return form.error(request, _not_migrated(request))
        # A page's script can do nothing with an HTML page, and nobody should read a traceback.
        logger.exception("%s %s failed.", request.method, request.path)
        got_request_exception.send(sender=None, request=request)
        if isinstance(exc, InterfaceError | OperationalError):
            headers = {"Retry-After": "1"}  # the database was restarted, or is busy
            return form.error(request, Answered(_FAILED, status=503, headers=headers))
        return form.error(request, Answered(_FAILED))


def _result(
    view: View, request: HttpRequest, methods: tuple[str, ...], own_credentials: bool, form: Format
) -> HttpResponse:
    if request.method not in methods:
        allowed = {"Allow": ", ".join(methods)}
        raise Answered(f"Use {' or '.join(methods)}.", status=405, headers=allowed)
    form.check(request)
    if request.method == "POST":
        # First, and within bounds: authenticators and the cross-site check may look at it too.
        form.fetch(request)
    read_user_again(request)
    explicit = own_credentials and _has_own_credentials(request)
    if request.method != "POST":
        return form.response(request, view(request, {}))
    if not explicit:
        check_site(request, own_credentials=own_credentials)
    return form.response(request, view(request, form.read(request)))


def _not_migrated(request: HttpRequest) -> Unavailable:
    """Answer while code is there and its tables aren't: in a new project, or during a deploy."""
    text = "Instant's tables are not in the database: run “manage.py migrate”."
    logger.error("%s %s failed. %s", request.method, request.path, text)
    return Unavailable(text if settings.DEBUG else _FAILED)


def _has_own_credentials(request: HttpRequest) -> bool:
    """
    Let the request's own credentials say who it is; tell whether no browser added them.

    Only then is there nothing that another site's page could use. Credentials that are wrong
    raise; those that nobody knows leave the session's user, and the cross-site check.
    """
    paths = conf.current().authentication
    if not paths:
        return False
    user = credentials.authenticate(request, paths)
    request.has_own_credentials = user is not None  # type: ignore[attr-defined]
    if user is not None:
        request.user = user
    elif "user" not in request.__dict__:  # a site without sessions
        request.user = AnonymousUser()
    explicit = user is not None and not credentials.is_ambient(request)
    # Whoever needs no CSRF token gets none: it would begin a session, where sessions keep it.
    request.needs_csrf_token = not explicit  # type: ignore[attr-defined]
    return explicit
