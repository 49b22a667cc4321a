"""Which answers have a viewer's own state in them, and are kept by no cache that others share."""

from __future__ import annotations

import re

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

from instant.exceptions import InstantConfigError

__all__ = ["begin", "end", "mark"]

MIDDLEWARE = "instant.middleware.StateMiddleware"
_NAME = "_instant_privacy"

_FOR_SHARED_CACHES = re.compile(
    r"X-Accel-Expires|Surrogate-Control|Edge-Control|(?:.*-)?CDN-Cache-Control", re.IGNORECASE
)
"""Headers that nginx, Varnish, Fastly, Akamai and others obey, whatever Cache-Control says."""


class _Privacy:
    """Of one request: whether its answer can still be marked, and whether it is."""

    __slots__ = ("is_open", "is_private")

    def __init__(self) -> None:
        self.is_open, self.is_private = True, False


def begin(request: HttpRequest) -> None:
    """Note that the answer to the request will be seen by end()."""
    setattr(request, _NAME, _Privacy())


def end(request: HttpRequest, response: HttpResponseBase) -> None:
    """Say on the answer that it is one viewer's, if something in it is."""
    privacy: _Privacy = getattr(request, _NAME)
    privacy.is_open = False
    if privacy.is_private:
        for name in [name for name in response.headers if _FOR_SHARED_CACHES.fullmatch(name)]:
            del response.headers[name]
        patch_cache_control(response, private=True)
        patch_vary_headers(response, ("Cookie",))


def mark(request: HttpRequest) -> bool:
    """
    Have the answer to the request marked as one viewer's; tell whether that can be done.

    It can't where the answer's headers are on their way, as with a StreamingHttpResponse. Raises
    InstantConfigError where the middleware for it is missing.
    """
    privacy: _Privacy | None = getattr(request, _NAME, None)
    if privacy is None:
        if MIDDLEWARE in settings.MIDDLEWARE:
            return False  # a RequestFactory's: no middleware has seen it
        raise InstantConfigError(
            f"A page with what is its viewer's must not be kept for others. Add {MIDDLEWARE!r} to "
            "MIDDLEWARE, or, if it is the same for everybody, say so: snapshot_is_public = True in "
            "the namespace of a state, public=True in {% livelist %}, authorize = “open” in the "
            "namespace of a stream."
        )
    if not privacy.is_open:
        return False
    privacy.is_private = True
    # Django's own caches, among them cache_page(), which see the answer before end() does.
    request._cache_update_cache = False  # type: ignore[attr-defined]  # noqa: SLF001
    return True
