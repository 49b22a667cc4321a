"""One URL with a view for WSGI and one for ASGI."""

from __future__ import annotations

import asyncio

from django.urls import ResolverMatch, URLPattern, path

from instant.views.proxy_endpoint import Endpoint

__all__ = ["either"]


class _Either(URLPattern):
    """
    Gives Django the async view where an event loop runs in the thread, as it does under ASGI.

    Django would run an async view under WSGI too, but in a new event loop for each request.
    """

    endpoint: Endpoint

    def resolve(self, path: str) -> ResolverMatch | None:
        match = super().resolve(path)
        if match is not None and _on_a_loop():
            match.func = self.endpoint.asynchronous
        return match


def either(route: str, endpoint: Endpoint, *, name: str) -> URLPattern:
    """Return the pattern of an endpoint, as path() does."""
    pattern = path(route, endpoint.sync, name=name)
    found = _Either(pattern.pattern, endpoint.sync, name=name)
    found.endpoint = endpoint
    return found


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
