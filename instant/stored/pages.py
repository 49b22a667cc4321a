"""What pages and other clients ask about stored messages, and what they are answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied

from instant import permissions
from instant.exceptions import InvalidChannelName
from instant.rights import tokens
from instant.stored import acknowledging, outstanding
from instant.stored.model import Message
from instant.stored.times import aware
from instant.tenancy import current as tenancy
from instant.tenancy import wire

__all__ = ["MOST_IDS", "NotAsked", "acknowledge", "page_of"]

MOST_IDS = 500
"""Ids of one acknowledgement."""

_MOST = outstanding.LIMIT
"""Messages of one page."""

_ROOM = 700_000
"""Bytes of a page's messages, unless the first has more: a subscriber's queue holds 1 MiB."""

_LAST = 2**63 - 1


class NotAsked(ValueError):
    """What was sent is no question; the text says why."""


def page_of(user: Any, question: Mapping[str, Any]) -> dict[str, Any]:
    """
    Answer what the user has still to acknowledge, oldest first.

    ``question`` has what ``instant.messages.outstanding()`` takes: ``channel``, ``after`` and
    ``limit``, all optional, and the ``user`` that the page has in mind. ``next`` is what to send
    as ``after`` for the next page, None on the last one; one before may have few messages, or
    none. Raises PermissionDenied, and NotAsked.
    """
    _check_user(user, question)
    channel, after, limit = _asked(question)
    try:
        found, go_on = outstanding.page(user, channel, after=after, limit=limit)
    except InvalidChannelName as exc:
        raise NotAsked(str(exc)) from None
    messages: list[dict[str, Any]] = []
    room = _ROOM
    for message in found:
        room -= len(message.content.encode())
        if room < 0 and messages:
            go_on = found[len(messages) - 1].pk
            break
        messages.append(_shown(message))
    return {"messages": messages, "next": go_on}


def acknowledge(user: Any, question: Mapping[str, Any]) -> dict[str, Any]:
    """
    Acknowledge the messages of ``ids``, and answer which of them are: ``{"acknowledged"}``.

    Raises PermissionDenied, and NotAsked.
    """
    _check_user(user, question)
    ids = question.get("ids")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise NotAsked('Send {"ids": ["…", "…"]}.')
    if len(ids) > MOST_IDS:
        raise NotAsked(f"At most {MOST_IDS} ids at once.")
    try:
        done = acknowledging.acknowledge(user, ids)
    except ValueError as exc:
        raise NotAsked(str(exc)) from None
    return {"acknowledged": [one.hex for one in done]}


def _check_user(user: Any, question: Mapping[str, Any]) -> None:
    """
    Refuse visitors, and a page that has another user in mind than who is signed in by now.

    It would show that user's messages to somebody else, or acknowledge them for them.
    """
    if not permissions.is_known(user):
        raise PermissionDenied("Log in first.")
    meant = question.get("user")
    if meant is not None and meant != wire.subject(tenancy.current(), tokens.subject(user)):
        raise PermissionDenied("Another user is signed in.")


def _asked(question: Mapping[str, Any]) -> tuple[str | None, int, int]:
    channel, after = question.get("channel"), question.get("after")
    limit = question.get("limit", _MOST)
    if channel is not None and not isinstance(channel, str):
        raise NotAsked('"channel" must be the name of a channel.')
    if after is None:
        after = 0
    if type(after) is not int or not 0 <= after <= _LAST:
        raise NotAsked('"after" must be what "next" was.')
    if type(limit) is not int or not 0 < limit <= _MOST:
        raise NotAsked(f'"limit" must be a whole number from 1 to {_MOST}.')
    return (None if channel is None else tenancy.from_wire(channel)), after, limit


def _shown(message: Message) -> dict[str, Any]:
    return {
        "channel": message.name,
        "created": aware(message.created_at).isoformat(),
        "payload": message.payload,
    }
