"""Rows of live lists, for the user whose page asks for them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from instant.pages.lists import fetching
from instant.views.endpoint import BadRequest, Body, Forbidden, endpoint

__all__ = ["rows"]


@endpoint("POST", own_credentials=True)
def rows(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Answer rows of the list of ``{"ref"}``: ``{"rows": {key: HTML or JSON}, "gone": [keys]}``.

    Of ``keys``, at most 500. 403 for a reference that isn't this user's, or is too old: the page
    is asked for another one.
    """
    ref, keys = body.get("ref"), body.get("keys")
    if not isinstance(ref, str) or not isinstance(keys, list) or len(keys) > fetching.MOST:
        raise BadRequest(f'Send {{"ref": "…", "keys": ["…"]}}, at most {fetching.MOST} keys.')
    if not all(isinstance(key, str) for key in keys):
        raise BadRequest('"keys" must be texts.')
    if any("\0" in key for key in keys):
        raise BadRequest("A key has a NUL character.")
    try:
        return fetching.rows_of(request, request.user, ref, list(dict.fromkeys(keys)))
    except fetching.NotGiven:
        raise Forbidden("The list isn't yours, or isn't kept any longer: load the page.") from None
