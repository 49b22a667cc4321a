"""
What the server knows about a channel: its subscribers, its history and its position.

Subscribers and history use cent's request classes, imported when they are first needed. Every
function raises the errors of ``Client.call()``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from instant.centrifugo.api.client import Client
from instant.centrifugo.api.commands import Position
from instant.exceptions import PublishError, ServerRefused

__all__ = ["PositionGone", "history", "positions", "presence"]

_UNRECOVERABLE = 112


class PositionGone(ServerRefused):
    """Error 112: the server no longer has the history that the position belongs to."""


def presence(client: Client, channel: str, timeout: float) -> dict[str, dict[str, Any]]:
    """Return the connections by id, each ``{"user": "7"}`` and its ``info``, if it has any."""
    from cent import PresenceRequest  # noqa: PLC0415  0.28 s

    return {
        name: {"user": info.user} | ({} if info.chan_info is None else {"info": info.chan_info})
        for found in client.call_each(PresenceRequest(channel=channel), timeout)
        for name, info in found.presence.items()
    }


def history(
    client: Client,
    channel: str,
    timeout: float,
    *,
    limit: int,
    since: tuple[int, str] | None = None,
    reverse: bool = False,
) -> dict[str, Any]:
    """
    Return ``publications`` (``data`` and ``offset``), and ``offset`` and ``epoch`` of the newest.

    They come oldest first, and only those after ``since`` (offset and epoch); with ``reverse``
    newest first, and only those before it. Raises PositionGone if the server no longer knows the
    epoch of ``since``.
    """
    from cent import HistoryRequest, StreamPosition  # noqa: PLC0415  0.28 s

    request = HistoryRequest(
        channel=channel,
        limit=limit,
        reverse=reverse,
        since=None if since is None else StreamPosition(offset=since[0], epoch=since[1]),
    )
    try:
        found = client.call(request, timeout)
    except ServerRefused as exc:
        if exc.code == _UNRECOVERABLE:
            raise PositionGone(str(exc), channel=channel, code=exc.code) from exc
        raise
    return {
        "publications": [{"data": one.data, "offset": one.offset} for one in found.publications],
        "offset": found.offset,
        "epoch": found.epoch,
    }


def positions(
    client: Client, channels: Sequence[str], timeout: float
) -> list[dict[str, Any] | PublishError]:
    """
    Return ``offset`` and ``epoch`` of the newest publication of each channel, used or not.

    Or the PublishError that it failed with. One request for 500 channels; while the server can't
    be reached it isn't asked, as with a publication.
    """
    with client.breaker.asking():
        return client.run([Position(channel) for channel in channels], timeout)
