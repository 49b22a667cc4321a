"""What an endpoint for browsers and other callers answers where it has no result."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Answered", "BadRequest", "Forbidden", "Unavailable"]


class Answered(Exception):
    """Answered with its status, its text and its headers."""

    status = 500

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        if status is not None:
            self.status = status
        self.code = self.status if code is None else code
        """For callers of methods, whose codes needn't be those of HTTP."""
        self.headers = dict(headers or {})
        self.fields = dict(fields or {})
        """What is wrong with each part of the body."""


class BadRequest(Answered):
    """Answered with 400 and its text."""

    status = 400


class Forbidden(Answered):
    """Answered with 403 and its text."""

    status = 403


class Unavailable(Answered):
    """Answered with its text and 503 (nothing answers), or 502 (what answers can't tell)."""

    status = 503
