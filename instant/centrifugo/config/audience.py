"""Whom tokens are for (``aud``): one site, or a site with its tenants."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["base", "compile_audience", "pattern"]

_TENANT = "(?:/[-A-Za-z0-9_.]+)?"
_OURS = re.compile(rf"\^(.+){re.escape(_TENANT)}\$")


def pattern(audience: str) -> str:
    """Return the ``audience_regex`` for a site and its tenants."""
    return f"^{re.escape(audience)}{_TENANT}$"


def base(regex: Any) -> str | None:
    """Return the site of which pattern() is the regex; None where it is somebody else's."""
    found = _OURS.fullmatch(regex) if isinstance(regex, str) else None
    return None if found is None else re.sub(r"\\(.)", r"\1", found[1])


def compile_audience(token: dict[str, Any], audience: str, *, tenants: bool) -> None:
    """
    Complete ``client.token`` of the server's config: it takes one of the two options.

    A regex that isn't ours is kept, and so is an audience where there are no tenants.
    """
    theirs = token.get("audience_regex")
    if theirs and base(theirs) is None:
        return
    if tenants:
        token.pop("audience", None)
        token["audience_regex"] = pattern(audience)
        return
    if theirs:
        del token["audience_regex"]
    if not token.get("audience") and "audience_regex" not in token:
        token["audience"] = audience
