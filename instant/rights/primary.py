"""
Decide on rights with what the database has that writes go to, not with a replica's past.

On sites with ``DATABASE_ROUTERS`` only; others pay nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib import auth
from django.db import router
from django.http import HttpRequest

__all__ = ["has_routers", "read_user_again", "reading_from_primary"]

_active: ContextVar[bool] = ContextVar("instant_primary", default=False)


class _Primary:
    """A router that is asked first, and answers while reading_from_primary() holds."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return router.db_for_write(model, **hints) if _active.get() else None


_primary = _Primary()


def has_routers() -> bool:
    """Tell whether the project has routers of its own, so that reads may go elsewhere."""
    return any(found is not _primary for found in router.routers)


@contextmanager
def reading_from_primary() -> Iterator[None]:
    """
    Read where the project's routers send writes: whatever queries run in the body.

    The project's rules among them. Threads that the body starts on its own aren't covered,
    and neither is a query that says ``using()``.
    """
    if not has_routers():
        yield
        return
    if _primary not in router.routers:
        router.routers.insert(0, _primary)
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)


def read_user_again(request: HttpRequest) -> None:
    """Ask for the session's user once more, where a middleware has had a replica asked."""
    if not has_routers():
        return
    before = request.__dict__.get("_cached_user")  # the name in Django's own middleware
    if before is not None and request.user == before:
        request.user = request._cached_user = auth.get_user(request)  # type: ignore[attr-defined]  # noqa: SLF001
