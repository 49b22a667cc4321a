"""Streams that nobody wants to read on, ended from outside."""

from __future__ import annotations

from typing import Any

from instant.streaming import rows, telling

__all__ = ["cancel", "stop"]


def cancel(streams: rows.Streams) -> bool:
    """End those that are written, and tell pages; tell whether there were any."""
    ended = rows.cancel(streams)
    for stream in ended:
        telling.tell(stream, stream.length, on_commit=True)
    return bool(ended)


def stop(channel: str, user: Any) -> bool | None:
    """End the stream of a channel if it is written for the user; None where none is."""
    theirs = rows.own().filter(channel=channel, user=user.pk)
    return cancel(theirs) or (False if theirs.exists() else None)
