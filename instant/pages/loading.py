"""Scripts that parts of a page need: once a request, with the page's nonce."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template import Context

__all__ = ["is_first", "is_loaded", "nonce", "request_of"]

_NAME = "_instant_live_script"


def request_of(where: HttpRequest | Context | None) -> HttpRequest | None:
    """Return the request, itself or that of a template's context; None where there is none."""
    if isinstance(where, Context):
        # A RequestContext has it without the context processor, too.
        found = where.get("request", getattr(where, "request", None))
        return found if isinstance(found, HttpRequest) else None
    return where


def is_first(request: HttpRequest) -> bool:
    """Tell once for each request that the script is still to be loaded."""
    if getattr(request, _NAME, False):
        return False
    is_loaded(request)
    return True


def is_loaded(request: HttpRequest) -> None:
    """Note that the page has the script already: it is a part of it that is asked for."""
    setattr(request, _NAME, True)


def nonce(where: HttpRequest | Context | None) -> str | None:
    """
    Return the nonce of Django 6's Content Security Policy or of django-csp.

    Both are lazy, and false until somebody asks for their text.
    """
    request: Any = request_of(where)
    found = where.get("csp_nonce") if isinstance(where, Context) else None
    if found is None:
        found = getattr(request, "csp_nonce", None)
    if found is None and request is not None:
        try:
            from django.middleware.csp import get_nonce  # noqa: PLC0415  Django 6 and later
        except ImportError:
            return None
        found = get_nonce(request)
    return None if found is None else str(found)
