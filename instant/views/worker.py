"""Workers on other machines: they claim requests over HTTP, with a token for one responder."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.signals import got_request_exception
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from instant.html import websocket_url
from instant.rights.primary import reading_from_primary
from instant.stored import claiming, wake_up
from instant.stored.worker_token import find_token
from instant.views.body import BodyRefused, BodyTooLarge, read_body
from instant.views.caching import keep_out_of_caches
from instant.views.errors import Answered, BadRequest

__all__ = ["worker"]

logger = logging.getLogger("instant.views")

_SCHEME = "Bearer "

_MOST = 2_500_000
"""Bytes of a body: a result has 900,000, and JSON may say each of them as an escape."""


@login_not_required
@csrf_exempt  # no browser adds the token
def worker(request: HttpRequest, action: str) -> JsonResponse:
    """
    Answer a worker: ``claim``, ``beat``, ``answer``, ``give_back`` or ``listen``, POSTs of JSON.

    ``claim`` answers ``{"request": …}``, or null where nothing waits; ``listen`` where and with
    which tokens to listen to what wakes it; the others ``{"is_yours"}``,
    which is False where the request was cancelled, or is another worker's by now. 401 for a token
    that is wrong or revoked.
    """
    try:
        with reading_from_primary():
            response = JsonResponse(_answered(request, action))
    except Answered as exc:
        response = JsonResponse({"error": str(exc)}, status=exc.status, headers=exc.headers)
    except Exception:
        logger.exception("%s %s failed.", request.method, request.path)
        got_request_exception.send(sender=None, request=request)
        response = JsonResponse({"error": "The server failed; its log says why."}, status=500)
    keep_out_of_caches(request, response)
    return response


def _answered(request: HttpRequest, action: str) -> Mapping[str, Any]:
    if action not in {*_ACTIONS, "listen"}:
        raise Answered("There is no such action.", status=404)
    if request.method != "POST":
        raise Answered("Use POST.", status=405, headers={"Allow": "POST"})
    given = request.headers.get("Authorization", "")
    token = find_token(given.removeprefix(_SCHEME)) if given.startswith(_SCHEME) else None
    if token is None:
        challenge = {"WWW-Authenticate": "Bearer"}
        raise Answered("The token is wrong, or was revoked.", status=401, headers=challenge)
    body = _body(request)
    if action == "listen":
        url = websocket_url(request)
        return {"url": url if isinstance(url, str) else url[0], **wake_up.card(token.responder)}
    try:
        return _ACTIONS[action](token.responder, body)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise BadRequest(f"The body isn't what “{action}” takes: {exc}") from None


def _body(request: HttpRequest) -> Mapping[str, Any]:
    try:
        # Chunks have no length, of which Django would take any number.
        found = json.loads(read_body(request, _MOST) or b"{}")
    except BodyTooLarge as exc:
        raise Answered(str(exc), status=413) from None
    except BodyRefused as exc:
        raise BadRequest(str(exc)) from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is no JSON.") from None
    if not isinstance(found, dict):
        raise BadRequest("The body is no JSON object.")
    return found


def _claim(responder: str, _body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"request": claiming.claim(responder)}


def _beat(responder: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    told = None
    if "message" in body:
        told = {"progress": body.get("progress"), "message": str(body["message"])}
    return {"is_yours": claiming.beat(responder, *_named(body), told)}


def _answer(responder: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"is_yours": claiming.answer(responder, *_named(body), body)}


def _give_back(responder: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"is_yours": claiming.give_back(responder, *_named(body))}


def _named(body: Mapping[str, Any]) -> tuple[str, str]:
    return str(body["id"]), str(body["claim"])


_ACTIONS: Mapping[str, Callable[[str, Mapping[str, Any]], Mapping[str, Any]]] = {
    "claim": _claim,
    "beat": _beat,
    "answer": _answer,
    "give_back": _give_back,
}
