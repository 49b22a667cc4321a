"""The tab of the page that caused the current request."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["TAB", "current_tab"]

TAB: ContextVar[str | None] = ContextVar("instant_tab", default=None)
"""Set by the middleware while it has a request answered."""


def current_tab() -> str | None:
    """
    Return the tab that caused the current request, None outside of one or where none was named.

    It is whatever the browser says: good for telling an echo, not for telling who somebody is.
    """
    return TAB.get()
