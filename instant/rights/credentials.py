"""
Who a request's own credentials name, for clients without a session.

``INSTANT["AUTHENTICATION"]`` lists dotted paths, asked in order, before the session:

- a callable that takes the request and returns a user, or None where the request has no
  credentials of its kind. Wrong credentials it answers with ``PermissionDenied``;
- a class of Django REST Framework (anything with ``authenticate(request)`` that returns
  ``(user, auth)`` or None), as it is. What it raises with ``status_code`` 401 or 403 (its
  ``AuthenticationFailed``) means wrong credentials.

They get a copy of the request *without cookies, session and user*: what they find is in the
request because its sender put it there, and no other site's page could. So such a request
needs no cross-site check; but for the schemes with which a browser answers by itself.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.module_loading import import_string

from instant.exceptions import InstantConfigError
from instant.permissions import is_known

__all__ = ["WrongCredentials", "authenticate", "authenticators", "is_ambient"]

_AMBIENT = {"basic", "digest", "negotiate", "ntlm"}
"""Schemes of which a browser sends the credentials unasked. Source: RFC 4559, RFC 7617."""

_OF_SESSION = ("_cached_user", "_acached_user", "session", "auser", "headers")

Authenticator = Callable[[HttpRequest], Any]


class WrongCredentials(Exception):
    """Credentials were given and are wrong; ``challenge`` is for ``WWW-Authenticate``."""

    def __init__(self, challenge: str) -> None:
        super().__init__("The credentials of this request are wrong or have expired.")
        self.challenge = challenge


def authenticators(paths: Sequence[str]) -> list[Authenticator]:
    """Return what the paths name, ready to be called; InstantConfigError for a wrong one."""
    return [_load(path) for path in paths]


def authenticate(request: HttpRequest, paths: Sequence[str]) -> Any:
    """
    Return the user whom the request's own credentials name, or None where it has none.

    An inactive user counts as anonymous. Raises WrongCredentials. The body of a request must
    have been read before, since a copy of the request shares its stream.
    """
    if not paths:
        return None
    bare = _without_session(request)
    for authenticator in authenticators(paths):
        user = authenticator(bare)
        if user is not None:
            return user if is_known(user) else AnonymousUser()
    return None


def is_ambient(request: HttpRequest) -> bool:
    """Tell whether a browser may have added the credentials by itself."""
    scheme = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")[0]
    return scheme.lower() in _AMBIENT


def _without_session(request: HttpRequest) -> HttpRequest:
    bare = copy.copy(request)
    for name in _OF_SESSION:
        bare.__dict__.pop(name, None)
    # REMOTE_USER is set by the web server, for whatever the browser has sent it.
    left_out = {"HTTP_COOKIE", "REMOTE_USER", "HTTP_REMOTE_USER"}
    bare.META = {key: value for key, value in request.META.items() if key not in left_out}
    if "environ" in bare.__dict__:
        bare.environ = bare.META  # type: ignore[attr-defined]
    bare.COOKIES = {}
    bare.user = AnonymousUser()
    return bare


def _load(path: str) -> Authenticator:
    try:
        found = import_string(path)
    except ImportError as exc:
        raise InstantConfigError(
            f"INSTANT['AUTHENTICATION'] names {path!r}, which can't be imported: {exc}"
        ) from exc
    if isinstance(found, type) and callable(getattr(found, "authenticate", None)):
        return _of_class(found)
    if isinstance(found, type) or not callable(found) or inspect.iscoroutinefunction(found):
        raise InstantConfigError(
            f"INSTANT['AUTHENTICATION'] names {path!r}, which must be a function from request to "
            "user (no “async def”), or a class with authenticate(request)."
        )
    return _of_callable(found)


def _of_callable(function: Authenticator) -> Authenticator:
    def ask(request: HttpRequest) -> Any:
        try:
            return function(request)
        except PermissionDenied as exc:
            raise WrongCredentials("Bearer") from exc

    return ask


def _of_class(cls: type) -> Authenticator:
    def ask(request: HttpRequest) -> Any:
        asked: Any = request
        if any(base.__module__.startswith("rest_framework.") for base in cls.__mro__):
            # Its request has more than Django's; some classes ask for that.
            asked = import_module("rest_framework.request").Request(request)
        authenticator = cls()
        try:
            found = authenticator.authenticate(asked)
        except Exception as exc:
            if isinstance(exc, PermissionDenied) or getattr(exc, "status_code", 0) in {401, 403}:
                raise WrongCredentials(_challenge(authenticator, asked)) from exc
            raise
        return None if found is None else found[0]

    return ask


def _challenge(authenticator: Any, request: Any) -> str:
    """Return what the class wants to be told to clients; RFC 9110 asks for something."""
    header = getattr(authenticator, "authenticate_header", None)
    return (header(request) if callable(header) else None) or "Bearer"
