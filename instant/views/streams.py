"""The endpoints of <instant-stream>: the text so far, and that nobody wants to read on."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from instant import conf, permissions
from instant.channels.names import check_name
from instant.exceptions import InvalidChannelName
from instant.streaming import stopping
from instant.streaming.reading import read_part
from instant.tenancy import current as tenancy
from instant.views.endpoint import BadRequest, Body, Forbidden, endpoint

__all__ = ["stop", "text"]

_LONGEST = 64
_MOST = 2**53


@endpoint("POST", own_credentials=True)
def text(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Answer what was written to ``{"channel"}``: ``{"run", "at", "text", "length", "state"}``.

    ``at`` is where the text begins: behind ``after`` where ``run`` is that of the page's text, else
    at 0. It may be a part of it, up to ``length``; where more is left, ask again. Before anything
    was written the state is ``none``.
    """
    channel = _channel(request, body)
    run, after = body.get("run", ""), body.get("after", 0)
    if not isinstance(run, str) or len(run) > _LONGEST:
        raise BadRequest('"run" must be a text.')
    if type(after) is not int or not 0 <= after < _MOST:
        raise BadRequest('"after" must be a whole number.')
    if not permissions.ask(request.user, "subscribe", channel):
        raise Forbidden("You may not do that, or there is no such channel.")
    part = read_part(channel, run=run, start=after)
    if part is None:
        return {"run": "", "at": 0, "text": "", "length": 0, "state": "none"}
    # What the channel's row says of the end belongs to the whole text.
    return {
        "run": part.run,
        "at": part.at,
        "text": part.text,
        "length": max(part.length, part.end),
        "state": part.state,
    }


@endpoint("POST", own_credentials=True)
def stop(request: HttpRequest, body: Body) -> dict[str, Any]:
    """Answer ``{"stopped"}``: whether ``{"channel"}``, which is written for the user, was ended."""
    channel = _channel(request, body)
    if not permissions.is_known(request.user):
        raise Forbidden("Log in first.")
    stopped = stopping.stop(channel, request.user)
    if stopped is None:
        raise Forbidden("You may not do that, or there is no such stream.")
    return {"stopped": stopped}


def _channel(request: HttpRequest, body: Body) -> str:
    channel = body.get("channel")
    if not isinstance(channel, str):
        raise BadRequest('Send {"channel": "…"}.')
    if not conf.current().anonymous and not permissions.is_known(request.user):
        raise Forbidden("Log in first.")
    own = tenancy.from_wire(channel)
    try:
        check_name(own)  # a database may refuse others with an exception
    except InvalidChannelName:
        raise Forbidden("You may not do that, or there is no such channel.") from None
    return own
