"""Stored messages that wait for the page's user, and what the page has dealt with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from instant.stored import pages
from instant.views.endpoint import BadRequest, Body, Forbidden, endpoint

__all__ = ["acknowledge", "outstanding"]

_REFUSED = "You may not do that, or there is no such channel."


@endpoint("POST", own_credentials=True)
def outstanding(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Answer what the user hasn't acknowledged: ``{"messages": [{"channel", "created", "payload"}]}``.

    Of ``channel``, or of all that the user may read; at most ``limit`` (100). ``next`` is sent as
    ``after`` for what follows, and null at the end.
    """
    with _errors():
        return pages.page_of(request.user, body)


@endpoint("POST", own_credentials=True)
def acknowledge(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Acknowledge the messages of ``{"ids"}``, at most 500: ``{"acknowledged": [ids]}``.

    Those that aren't there (any more), or that the user may not read, are left out.
    """
    with _errors():
        return pages.acknowledge(request.user, body)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except PermissionDenied:
        raise Forbidden(_REFUSED) from None
    except pages.NotAsked as exc:
        raise BadRequest(str(exc)) from None
