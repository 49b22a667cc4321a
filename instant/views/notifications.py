"""The endpoints of the bell: a user's notifications, and that they have read them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.channels.names import user_channel
from instant.exceptions import PublishError
from instant.pages.freshness import is_fresh
from instant.permissions import is_known
from instant.stored.notifications import inbox
from instant.stored.push import subscriptions
from instant.tenancy import current as tenancy
from instant.views.endpoint import BadRequest, Body, Forbidden, endpoint

__all__ = ["listed", "read"]

_PAGE, _MOST = 20, 100
_PATIENCE = 1.0
"""Seconds for a position at the most: without it the page only asks once more."""


@endpoint("POST", own_credentials=True)
def listed(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Answer the user's notifications, newest first, how many are unread, and where others arrive.

    ``{"limit"}`` is up to 100, 20 unless given; ``{"before"}`` the id of the oldest that is known.
    With ``{"position": true}`` the answer has the ``position`` of the channel from which a page
    has to listen to miss nothing, if there is one.
    """
    _check_user(request)
    limit, before = body.get("limit", _PAGE), body.get("before")
    if type(limit) is not int or not 0 <= limit <= _MOST:
        raise BadRequest(f'"limit" must be a whole number up to {_MOST}.')
    channel = user_channel(request.user)
    # Before the rest: what is published after it may be in there, too, but is not missed.
    position = _position(channel) if body.get("position") is True else None
    try:
        notifications, has_more = inbox.listed(request.user, before=before, limit=limit)
    except ValueError as exc:
        raise BadRequest(str(exc)) from None
    answer = {
        "channel": channel,
        "unread": inbox.unread(request.user),
        "notifications": notifications,
        "has_more": has_more,
    }
    if position is not None:
        answer["position"] = position
    if conf.current().push is not None:  # a browser that isn't any more may subscribe again
        answer["push"] = subscriptions.is_subscribed(request)
    return answer


@endpoint("POST", own_credentials=True)
def read(request: HttpRequest, body: Body) -> dict[str, Any]:
    """
    Note that the user has read ``{"ids"}``, at most 100, or all; answer how many are unread now.

    ``{"until"}`` is the newest that the page has seen: what came after it stays unread.
    """
    _check_user(request)
    ids, until = body.get("ids"), body.get("until")
    if ids is not None and (not isinstance(ids, list) or len(ids) > _MOST):
        raise BadRequest(f'Send {{"ids": ["…", "…"]}}, at most {_MOST}.')
    if ids is None and until is None:
        raise BadRequest('Send {"ids": ["…", "…"]} or {"until": "…"}.')
    try:
        return {"unread": inbox.mark_read(request.user, ids, until=until)}
    except ValueError as exc:
        raise BadRequest(str(exc)) from None


def _position(channel: str) -> dict[str, Any] | None:
    """Return ``offset`` and ``epoch`` of the channel's newest publication; None where unknown."""
    if not is_fresh() or (client := get_backend().client()) is None:
        return None
    patience = min(conf.current().timeout, _PATIENCE)
    try:
        (found,) = channel_state.positions(client, [tenancy.to_wire(channel)], patience)
    except PublishError:
        return None
    return None if isinstance(found, PublishError) or not found["epoch"] else found


def _check_user(request: HttpRequest) -> None:
    if not is_known(request.user):
        raise Forbidden("Log in first.")
