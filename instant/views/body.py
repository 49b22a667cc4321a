"""The body of a request, of which no more is read than will be taken."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, RawPostDataException, UnreadablePostError

__all__ = ["BodyRefused", "BodyTooLarge", "read_body"]

_MAX_DIGITS = 9
"""Of a Content-Length: int() refuses thousands of them with an exception."""


class BodyRefused(Exception):
    """The body is too large, or can't be read. The message says which."""


class BodyTooLarge(BodyRefused):
    """The body has more bytes than are taken."""


def read_body(request: HttpRequest, most: int) -> bytes:
    """
    Return the body; not more than is taken is read, whatever the headers say of it.

    At most ``most`` bytes, or DATA_UPLOAD_MAX_MEMORY_SIZE where that is less. Raises BodyRefused.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    too_large = BodyTooLarge(f"The body may have {most:,} bytes.")
    if not (length.isascii() and length.isdigit()) or len(length) > _MAX_DIGITS:
        raise too_large
    site_limit = getattr(settings, "DATA_UPLOAD_MAX_MEMORY_SIZE", None)
    limit = most if site_limit is None else min(most, site_limit)
    if int(length) > limit:
        raise too_large
    try:
        # Chunks have no length, and request.body would take as many as the site allows.
        if "_body" not in request.__dict__ and not request._read_started:  # type: ignore[attr-defined]  # noqa: SLF001
            request._body = request.read(limit + 1)  # noqa: SLF001
        raw = request.body
    except (RequestDataTooBig, UnreadablePostError, RawPostDataException):
        raise BodyRefused("The body is too large, broke off, or was read as a form.") from None
    if len(raw) > limit:
        raise too_large
    return raw
