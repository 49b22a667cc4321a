"""Scripts that parts of a page need: once a request, with the page's nonce."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.template import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from instant import conf
from instant.exceptions import InstantConfigError

__all__ = ["is_loaded", "nonce", "request_of", "script", "tag"]

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
    # Seconds after which what the page would show again by has ended.
    config = {"life": conf.current().token_life}
    views = {name: name for name in _VIEWS}
    return tag("live", views, config, nonce(where), what="The script of live pages")


def tag(
    part: str, views: Mapping[str, str], config: Mapping[str, Any], found: str | None, *, what: str
) -> SafeString:
    """
    Return the tag of a script of its own, with what it has to know and the addresses of views.

    ``views`` are their names by those that the script has for them.
    """
    try:
        urls = {name: reverse(f"instant:{view}") for name, view in views.items()}
    except NoReverseMatch as exc:
        raise InstantConfigError(
            f"{what} needs Instant's URLs. Add to urls.py: "
            'path("instant/", include("instant.urls"))'
        ) from exc
    return format_html(
        '<script src="{}" data-instant-{}="{}" defer{}></script>',
        static(f"instant/instant.{part}.min.js"),
        part,
        json.dumps({"urls": urls, **config}, separators=(",", ":"), sort_keys=True),
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
