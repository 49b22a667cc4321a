"""The endpoint of fragments: what a page has is shown again, as its viewer may see it now."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.views.decorators.csrf import csrf_exempt

from instant.pages.fragments import answering
from instant.pages.fragments.places import Place
from instant.rights.primary import reading_from_primary
from instant.views.caching import keep_out_of_caches
from instant.views.endpoint import BadRequest, Body, endpoint
from instant.views.transactions import outside_of_transactions

__all__ = ["fragments"]

_MOST = 100
"""Of one request."""

_SECONDS = 300
"""For which caches keep a public fragment; its address changes with each message."""


@outside_of_transactions
@login_not_required
@csrf_exempt  # see endpoint()
def fragments(request: HttpRequest) -> HttpResponse:
    """Answer a POST for one viewer, a GET for everybody."""
    return _public(request) if request.method == "GET" else _private(request)


@endpoint("POST")
def _private(request: HttpRequest, body: Body) -> dict[str, Any]:
    """Answer ``{"refs": […]}``, at most 100: ``{"fragments": […]}``, in the same order."""
    given = body.get("refs")
    if not isinstance(given, list) or len(given) > _MOST:
        raise BadRequest(f'Send {{"refs": ["…", "…"]}}, at most {_MOST}.')
    return {"fragments": answering.answers(request, given)}


def _public(request: HttpRequest) -> HttpResponse:
    """
    Answer ``?ref=…&v=…`` for everybody, and for the caches in between.

    Nobody's session is looked at, and pages send no cookie: an answer to a request with one is kept
    by nobody, since a middleware may add another to it. ``v`` is the offset and epoch of a message:
    what is kept under an address is at least as new. An address whose message isn't there yet is
    kept by nobody.
    """
    with reading_from_primary():
        found, place = answering.public_answer(request, request.GET.get("ref"))
    response: HttpResponse = JsonResponse({"fragments": [found]})
    is_there = _is_there(request.GET.get("v", ""), place)
    if request.COOKIES or not is_there or "html" not in found:
        keep_out_of_caches(request, response)
        return response
    patch_cache_control(response, public=True, max_age=_SECONDS)
    etag = f'"{found["key"]}-{place.offset}"'
    response["ETag"] = etag
    conditional = get_conditional_response(request, etag=etag, response=response)
    assert conditional is not None  # noqa: S101  it had a response
    return conditional


def _is_there(version: str, place: Place) -> bool:
    offset, _, epoch = version.partition(".")
    return (
        offset.isascii()
        and offset.isdigit()
        and len(offset) < 19  # noqa: PLR2004  digits of a number of 63 bits
        and epoch != ""
        and epoch == place.epoch
        and int(offset) <= place.offset
    )
