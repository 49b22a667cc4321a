"""Know which tab of which page caused a request, so that it knows its own messages again."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from instant.publishing.origin_tab import TAB, current_tab

__all__ = ["TabMiddleware", "current_tab"]

HEADER = "X-Instant-Tab"
"""Sent by the page's script, and by the page's own requests with ``instant.headers()``."""

# Everybody in a channel gets to see it, so it is nothing but a name.
_TAB = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

_Response = HttpResponseBase | Awaitable[HttpResponseBase]


class TabMiddleware:
    """
    Remember the request's tab while it is answered, for ``current_tab()``; sync and async.

    Threads that a view starts on its own and jobs that run later don't know it. A header that
    is no plain name of at most 64 characters counts as none.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], _Response]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> _Response:
        """Answer the request, with its tab known meanwhile."""
        if self._is_async:
            return self._acall(request)
        token = TAB.set(_read(request))
        try:
            return self._get_response(request)
        finally:
            TAB.reset(token)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        token = TAB.set(_read(request))
        try:
            response = self._get_response(request)
            assert isinstance(response, Awaitable)  # noqa: S101  for mypy: see __init__
            return await response
        finally:
            TAB.reset(token)


def _read(request: HttpRequest) -> str | None:
    value = request.headers.get(HEADER, "")
    return value if _TAB.fullmatch(value) else None
