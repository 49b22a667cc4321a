"""Scripts that parts of a page need: once a request, with the page's nonce."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.template import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from instant import conf
from instant.exceptions import InstantConfigError

__all__ = ["is_loaded", "nonce", "request_of", "script"]

_NAME = "_instant_live_script"
_VIEWS = ("fragments",)


def request_of(where: HttpRequest | Context | None) -> HttpRequest | None:
    """Return the request, itself or that of a template's context; None where there is none."""
    if isinstance(where, Context):
        # A RequestContext has it without the context processor, too.
        found = where.get("request", getattr(where, "request", None))
        return found if isinstance(found, HttpRequest) else None
    return where


def script(where: HttpRequest | Context | None) -> SafeString:
    """See ``instant.html.live_script()``."""
    request = request_of(where)
    if request is None or getattr(request, _NAME, False):
        return mark_safe("")
    is_loaded(request)
    try:
        urls = {name: reverse(f"instant:{name}") for name in _VIEWS}
    except NoReverseMatch as exc:
        raise InstantConfigError(
            "Live pages need Instant's URLs. Add to urls.py: "
            'path("instant/", include("instant.urls"))'
        ) from exc
    # Seconds after which what the page would show again by has ended.
    config = {"urls": urls, "life": conf.current().token_life}
    found = nonce(where)
    return format_html(
        '<script src="{}" data-instant-live="{}" defer{}></script>',
        static("instant/instant.live.min.js"),
        json.dumps(config, separators=(",", ":"), sort_keys=True),
        format_html(' nonce="{}"', found) if found else "",
    )


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
