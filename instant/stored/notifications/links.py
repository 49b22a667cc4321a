"""Where a notification leads: addresses that a page may follow."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["check_url"]

# Browsers take a backslash for a slash, and leave out tabs and line breaks.
_NEVER = re.compile(r"[\x00-\x20\x7f\\]")


def check_url(url: str) -> str:
    """Return the address; raise ValueError for what is no http(s) address and no path."""
    if (url and not (_is_path(url) or _is_web(url))) or _NEVER.search(url):
        raise ValueError(
            f"A notification leads to a path such as “/orders/42/” or an http(s) address, "
            f"not to {url!r}."
        )
    return url


def _is_path(url: str) -> bool:
    return url.startswith("/") and not url.startswith("//")


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
