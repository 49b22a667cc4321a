"""``{% load instant %}{% instant_script %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString

from instant import html

register = template.Library()


@register.simple_tag(takes_context=True)
def instant_script(context: template.Context) -> SafeString:
    """Load the client; ``window.instant`` and ``window.$instant`` exist from here on."""
    return html.script(_nonce(context))


def _nonce(context: template.Context) -> str | None:
    """
    Return the nonce of Django 6's Content Security Policy or of django-csp.

    Both are lazy, and false until somebody asks for their text.
    """
    request: Any = context.get("request")
    nonce = context.get("csp_nonce")
    if nonce is None:
        nonce = getattr(request, "csp_nonce", None)
    if nonce is None and request is not None:
        try:
            from django.middleware.csp import get_nonce  # noqa: PLC0415  Django 6 and later
        except ImportError:
            return None
        nonce = get_nonce(request)
    return None if nonce is None else str(nonce)
