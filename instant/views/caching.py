"""Keep an answer out of every cache between Django and who asked."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

__all__ = ["keep_out_of_caches"]


def keep_out_of_caches(request: HttpRequest, response: HttpResponse) -> None:
    """
    Say on an answer that it is for this request alone.

    ``private`` is there for the cache middleware of Django 5.2 to 5.2.14, which stores an
    answer in spite of ``no-store``. ``Vary: *`` is there because an authenticator of the
    project may read any header, and not only those that Django names by itself.
    """
    response["Cache-Control"] = "private, no-store"
    patch_vary_headers(response, ("*",))
    # Whatever a middleware between us and the site's cache does to these two headers.
    request._cache_update_cache = False  # type: ignore[attr-defined]  # noqa: SLF001
