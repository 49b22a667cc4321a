"""
What the server knows about one channel: its subscribers, its history and its position.

Uses cent's request classes, imported when they are first needed. Every function raises the
errors of ``Client.call()``.
"""

from __future__ import annotations

from typing import Any

from instant.centrifugo.api.client import Client
from instant.exceptions import ServerRefused

__all__ = ["PositionGone", "history", "position", "presence"]

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


def position(client: Client, channel: str, timeout: float) -> dict[str, Any]:
    """Return ``offset`` and ``epoch`` of the newest publication, also of an unused channel."""
    found = history(client, channel, timeout, limit=0)
    del found["publications"]
    return found
