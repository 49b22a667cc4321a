"""What a page knows its own messages by, and what keeps its viewer's state out of shared caches."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from instant.pages import privacy
from instant.publishing.origin_tab import TAB, current_tab

__all__ = ["StateMiddleware", "TabMiddleware", "current_tab"]

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


class StateMiddleware:
    """
    Mark pages ``private`` that have their viewer's state in them; sync and async.

    ``{% instant_state %}`` needs it, unless the state is the same for everybody. Place it anywhere:
    Django's own caches are told in another way.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], _Response]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> _Response:
        """Answer the request, and mark the answer where something in it is one viewer's."""
        if self._is_async:
            return self._acall(request)
        privacy.begin(request)
        response = self._get_response(request)
        assert isinstance(response, HttpResponseBase)  # noqa: S101  for mypy: see __init__
        privacy.end(request, response)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        privacy.begin(request)
        response = self._get_response(request)
        assert isinstance(response, Awaitable)  # noqa: S101  for mypy: see __init__
        found: HttpResponseBase = await response
        privacy.end(request, found)
        return found


def _read(request: HttpRequest) -> str | None:
    value = request.headers.get(HEADER, "")
    return value if _TAB.fullmatch(value) else None
