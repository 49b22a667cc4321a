"""Rows of a list for the user whose page asks for them."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest

from instant.pages import loading, reference
from instant.pages.lists import registry, syncing
from instant.pages.lists.model import LiveList
from instant.pages.lists.rendering import rendered
from instant.pages.lists.showing import KIND
from instant.pages.lists.stored_query import Unreadable
from instant.pages.lists.visibility import viewer_of, visible
from instant.rights.tokens import subject

__all__ = ["MOST", "NotGiven", "rows_of"]

MOST = 500
"""Rows of one request."""


class NotGiven(Exception):
    """The page has to ask anew for the list: it isn't this user's, or isn't kept any longer."""


def _found(what: dict[str, Any], sub: str) -> LiveList:
    """Return the list of a reference, if the user may have rows of it now."""
    row = registry.find(what["l"])
    if row is None:
        raise NotGiven
    if not row.is_public and not (what.get("u") == sub and registry.is_given(row, sub)):
        raise NotGiven
    return row


def rows_of(
    request: HttpRequest | None, user: Any, text: str, keys: Collection[str]
) -> dict[str, Any]:
    """
    Return ``{"rows": {key: …}, "gone": [key]}`` of a reference that a page sends.

    Gone is what isn't in the list, or what this user may not see: nobody learns which. Raises
    NotGiven.
    """
    try:
        what = reference.read(KIND, text)
    except reference.InvalidReference as exc:
        raise NotGiven from exc
    if request is not None:
        loading.is_loaded(request)  # the page has the script: a row is a part of it
    row = _found(what, subject(user))
    try:
        objects = list(syncing.with_keys(row, keys))
    except Unreadable as exc:
        raise NotGiven from exc
    except (TypeError, ValueError, OverflowError, ValidationError):  # a key that none can be
        objects = []
    how = json.loads(row.row)
    objects = visible(syncing.queryset_of(row).model, row.database, objects, viewer_of(user, how))
    shown = rendered(how, objects, None if row.is_public else request)
    return {"rows": shown, "gone": [key for key in keys if key not in shown]}
