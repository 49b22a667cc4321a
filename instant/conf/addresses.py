"""Addresses that may hold a user and a password, as Centrifugo reads them (Go's net/url)."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

__all__ = ["parse_consumer", "split"]

_LOGIN = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*")

_UNQUOTED = (
    "has a user or a password with characters that an address can't have: percent-encode them, "
    "as urllib.parse.quote(password, safe='') does"
)


def parse_consumer(given: object) -> str | None:
    """Read ``INSTANT["OUTBOX_CONSUMER"]``; raise ValueError without the address."""
    if given is None or given == "":
        return None
    if not isinstance(given, str) or "://" not in given:
        raise ValueError(
            "must be an address such as “postgresql://centrifugo:password@127.0.0.1/shop”"
        )
    split(given)
    return given


def split(text: object) -> SplitResult | None:
    """
    Return the parts of an address; None where it is none.

    Raises ValueError, without the address, if its user or its password would end it elsewhere.
    """
    if not isinstance(text, str):
        return None
    url: SplitResult | None = None
    with suppress(ValueError):
        found = urlsplit(text)
        found.port  # noqa: B018  raises where it is none
        url = found
    netloc, login = _netloc(text)
    is_cut = netloc and login is None and "@" in text and (url is None or not url.hostname)
    if is_cut or _has_more_behind(text) or not _LOGIN.fullmatch(login or ""):
        raise ValueError(_UNQUOTED)
    return url


def _has_more_behind(text: str) -> bool:
    """Tell whether a “@” is behind a “/” or “#”, which end what may have a password."""
    _, _, rest = text.partition("://")
    return "@" in re.sub(r"^[^/?#]*|\?[^#]*", "", rest)


def _netloc(text: str) -> tuple[str, str | None]:
    """Return what stands before the path, and what of it stands before the host."""
    netloc = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
    login, at, _host = netloc.rpartition("@")
    return netloc, login if at else None
