"""The gateway: methods for callers without a connection, by the handlers that pages call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from instant import conf
from instant.inbound.answering import answer
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.requests import find_method
from instant.inbound.reserved import ID, check_id, take_id
from instant.rights.client_address import caller_address
from instant.views.caching import keep_out_of_caches
from instant.views.endpoint import endpoint
from instant.views.errors import Answered, BadRequest
from instant.views.negotiation import FormData, Negotiated

__all__ = ["rpc"]

_KEY = "Idempotency-Key"


@login_not_required
@csrf_exempt  # the endpoint's own check is stricter, and knows who needs none
def rpc(request: HttpRequest, method: str) -> HttpResponse:
    """
    Answer a method: ``{"data"}``, or ``{"error", "code"}`` with the status that fits the code.

    404 where ``INSTANT["GATEWAY"]`` isn't True. The body is the payload; its ``instant:id``, or
    the header Idempotency-Key, names the call.
    """
    if not conf.current().gateway:
        hint = ' INSTANT["GATEWAY"] is not True.' if settings.DEBUG else ""
        response = JsonResponse({"error": f"There is no gateway.{hint}", "code": 404}, status=404)
        keep_out_of_caches(request, response)
        return response
    return _rpc(request, method=method)


@endpoint("POST", own_credentials=True, form=Negotiated())
def _rpc(request: HttpRequest, data: Any, method: str) -> Mapping[str, Any]:
    try:
        handler = find_method(method)
        if isinstance(data, FormData):
            data = data.payload(handler.arguments.lists)
        data, named = take_id(data)
        call = Call(
            id=_id(request, named),
            user=request.user,
            method=method,
            data=data,
            transport="http",
            address=caller_address(request.META, conf.current().trusted_proxies),
            headers=request.headers,
            session=_session(request) if handler.session else None,
        )
        return {"data": json.loads(answer(handler, call, request=request))}
    except Refused as exc:
        raise _answered(exc) from None


def _id(request: HttpRequest, named: str) -> str:
    """Return what the caller has named the call, in the payload or in the header."""
    header = request.headers.get(_KEY)
    if header is None:
        return named
    # A string of RFC 9651 stands in quotes, and most clients write none.
    quoted = len(header) > 1 and header[0] == header[-1] == '"'
    given = check_id(header[1:-1] if quoted else header)
    if named and named != given:
        raise BadRequest(f"The header {_KEY} and “{ID}” name different calls.")
    return given


def _session(request: HttpRequest) -> Any:
    """Return the caller's session; whoever brings credentials of their own has none."""
    if getattr(request, "has_own_credentials", False):
        return None
    return getattr(request, "session", None)


def _answered(refused: Refused) -> Answered:
    """Return a refusal as HTTP knows it. What is no status of HTTP's is a 400 with its code."""
    status = refused.code if refused.code in _STATUSES else 400
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 asks for one
    if refused.temporary or refused.retry_after is not None or status in _AGAIN:
        headers["Retry-After"] = str(1 if refused.retry_after is None else refused.retry_after)
    return Answered(
        refused.message, status=status, code=refused.code, headers=headers, fields=refused.fields
    )


_STATUSES = {int(status) for status in HTTPStatus}

_AGAIN = {429, 503, 504}
"""Statuses after which a caller may try again."""
