"""Whether somebody is there: the endpoints that monitors, pages and devices ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from instant import conf, permissions
from instant.namespaces import Action
from instant.stored import pinging
from instant.stored import status as statuses
from instant.stored.times import aware
from instant.tenancy import current as tenancy
from instant.views.endpoint import BadRequest, Body, Forbidden, endpoint
from instant.views.formats import JsonObjects

__all__ = ["ping", "pong", "status"]

_REFUSED = "You may not do that, or there is no such channel."

_TEXTS = {
    "online": "Somebody is there.",
    "offline": "Nobody answers.",
    "unknown": "Whether somebody is there isn't known.",
}


class _StatusObjects(JsonObjects):
    """JSON objects; 503 where nobody is there, so that a monitor needs to read no JSON."""

    def response(self, _request: HttpRequest, content: Mapping[str, Any]) -> HttpResponse:
        """Return the answer; 202 where the status isn't said."""
        codes = {None: 202, "online": 200}
        return JsonResponse(content, status=codes.get(content.get("status"), 503))


@endpoint("GET", own_credentials=True, form=_StatusObjects())
def status(request: HttpRequest, body: Body, *, name: str) -> dict[str, Any]:  # noqa: ARG001
    """
    Answer whether somebody is there: ``{"status", "message", "by", "last_ping", "last_pong"}``.

    With 200 where somebody is, and 503 where nobody is or that isn't known. 400 for a channel
    that answers no pings.
    """
    return _status(_channel(request, name, "status"))


@endpoint("POST", own_credentials=True, form=_StatusObjects())
def ping(request: HttpRequest, body: Body, *, name: str) -> dict[str, Any]:  # noqa: ARG001
    """
    Ping the channel, for those who may publish there.

    Answer as status() does those who may see the status, others 202: what came of it shows a
    moment later.
    """
    channel = _channel(request, name, "publish")
    if not pinging.ping(channel):
        raise BadRequest("This channel answers no pings.")
    return _status_for(request, channel, "The channel was pinged.")


@endpoint("POST", own_credentials=True, form=_StatusObjects())
def pong(request: HttpRequest, body: Body, *, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Note that the user, who may subscribe, is there; answer as ping() does."""
    channel = _channel(request, name, "subscribe")
    if not permissions.is_known(request.user):  # else any visitor could say so
        raise Forbidden("Log in first.")
    if not pinging.pong(channel):
        raise BadRequest("This channel answers no pings.")
    return _status_for(request, channel, "It is noted that you are there.")


def _status_for(request: HttpRequest, channel: str, done: str) -> dict[str, Any]:
    """Return the status for those who may see it: to publish or to subscribe gives no right to."""
    if permissions.ask(request.user, "status", channel):
        return _status(channel)
    return {"message": done}


def _status(channel: str) -> dict[str, Any]:
    try:
        found = statuses.status(channel)
    except statuses.NotPinged as exc:
        raise BadRequest(str(exc)) from None
    return {
        "status": found.availability,
        "message": _TEXTS[found.availability],
        "by": found.by,
        "last_ping": found.last_ping and aware(found.last_ping),
        "last_pong": found.last_pong and aware(found.last_pong),
    }


def _channel(request: HttpRequest, name: str, action: Action) -> str:
    if not conf.current().anonymous and not permissions.is_known(request.user):
        raise Forbidden("Log in first.")
    channel = tenancy.from_wire(name)
    if not permissions.ask(request.user, action, channel):
        raise Forbidden(_REFUSED)
    return channel
