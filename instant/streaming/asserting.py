"""Streams, asserted by a project's tests; public as ``instant.testing``."""

from __future__ import annotations

from typing import Any

from instant.streaming.reading import read_part

__all__ = ["assert_stream"]

_ANY: Any = object()


def assert_stream(channel: str, text: str = _ANY, *, state: str = "done") -> str:
    """
    Assert that a stream of the channel has ended as ``state`` says, and return its text.

    ``text`` is compared where it is given: the whole of it, as a page shows it.
    """
    part = read_part(channel, most=None)
    if part is None:
        raise AssertionError(f"No stream was written to {channel!r}.")
    if part.state != state:
        raise AssertionError(f"The stream {channel!r} is {part.state}, not {state}.")
    if text is not _ANY and part.text != text:
        raise AssertionError(f"The stream {channel!r} says {part.text!r}, not {text!r}.")
    return part.text
