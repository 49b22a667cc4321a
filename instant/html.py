"""The script tag with the page's config."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from instant.exceptions import InstantConfigError

__all__ = ["script", "script_config"]


def script_config() -> dict[str, Any]:
    """Return what the script needs to know: addresses and names, no token, no user data."""
    try:
        urls = {
            name: reverse(f"instant:{name}")
            for name in ("get_token", "login", "logout", "subscribe")
        }
    except NoReverseMatch as exc:
        raise InstantConfigError(
            "{% instant_script %} needs Instant's URLs. Add to urls.py: "
            'path("instant/", include("instant.urls"))'
        ) from exc
    return {
        "urls": urls,
        "csrf": {"cookie": settings.CSRF_COOKIE_NAME, "header": _header(settings.CSRF_HEADER_NAME)},
    }


def _header(meta: str) -> str:
    """Return the header that Django files under the name in ``request.META``."""
    return meta.removeprefix("HTTP_").replace("_", "-").title()


def script(nonce: str | None = None) -> SafeString:
    """Return the script tag. It is the same for everybody, so that pages can be cached."""
    config = json.dumps(script_config(), separators=(",", ":"), sort_keys=True)
    return format_html(
        '<script src="{}" data-instant="{}"{}></script>',
        static("instant/instant.min.js"),
        config,
        format_html(' nonce="{}"', nonce) if nonce else "",
    )
