"""What pages learn of a stream, on its channel."""

from __future__ import annotations

import logging
from typing import Any

from instant.exceptions import PublishError
from instant.producers import publish
from instant.publishing.passing import passing
from instant.stored.note import Note, noted
from instant.streaming.model import Stream

__all__ = ["EVENT", "sign", "tell"]

logger = logging.getLogger("instant.streams")

EVENT = "instant:stream"
"""The event class of each message."""

_CARRIED = 16_384
"""Characters that travel with a message. More than that is fetched from Django."""


def tell(stream: Stream, at: int, text: str = "", *, on_commit: bool = False) -> None:
    """
    Publish what came next at a position, and the state unless it goes on; never raise.

    What can't be sent isn't sent later: pages find by the positions that something is missing, and
    fetch it. So the outbox has nothing of it, unless it waits for the commit of a transaction.
    """
    data: dict[str, Any] = {"run": stream.run, "at": at}
    if len(text) <= _CARRIED:
        data["text"] = text
    else:
        data["until"] = stream.length
    if stream.state != Stream.State.WRITING:
        data["state"] = str(stream.state)
    _publish(stream, data, on_commit=on_commit)


def sign(stream: Stream) -> None:
    """
    Publish that somebody still writes, though nothing comes; never raise.

    It says how far the text is, so that a page finds what it has missed. The channel's history
    doesn't keep it: a minute of silence must not push out what pages go on from.
    """
    with passing():
        _publish(stream, {"run": stream.run, "at": stream.length, "text": "", "alive": True})


def _publish(stream: Stream, data: dict[str, Any], *, on_commit: bool = False) -> None:
    try:
        with noted(Note(never=True)):  # the text is kept already
            publish(stream.channel, data=data, event_class=EVENT, on_commit=on_commit)
    except PublishError as exc:
        logger.debug("A part of %s was not published: %s", stream.channel, exc)
    except Exception:
        logger.exception("A part of %s was not published.", stream.channel)
