"""What a stream has come to, for those who may see it."""

from __future__ import annotations

from typing import NamedTuple

from instant.streaming import rows, telling
from instant.streaming.model import Stream
from instant.streaming.text import after, length

__all__ = ["PAGE", "Part", "read_part"]

PAGE = 262_144
"""Characters of one part, about."""

_AT_ONCE = 32
"""Pieces of one query; each is up to 131,072 characters."""
_ATTEMPTS = 5


class Part(NamedTuple):
    """A part of a stream's text."""

    run: str
    """Names the text: a stream that is begun anew has another one."""
    at: int
    """Where the part begins; behind it more may follow, up to ``length``."""
    text: str
    state: str
    """That of the stream; with the last part that of the text, too."""
    length: int
    stream: Stream

    @property
    def end(self) -> int:
        """Where the part ends."""
        return self.at + length(self.text)


def read_part(
    channel: str, *, run: str = "", start: int = 0, most: int | None = PAGE
) -> Part | None:
    """
    Return a stream's text from ``start`` on, if that is a position of this ``run``; else from 0.

    About ``most`` characters of it (None: all). None where there is no such stream. Whoever finds
    that the writer is gone says so to everybody.
    """
    for _attempt in range(_ATTEMPTS):
        found = rows.with_lapsed(rows.own().filter(channel=channel)).first()
        if found is None:
            return None
        if found.is_lapsed:  # type: ignore[attr-defined]
            tell_interrupted(rows.own().filter(pk=found.pk))
            found = rows.own().filter(pk=found.pk).first()
            if found is None:
                return None
        begin = start if run == found.run and 0 <= start <= found.length else 0
        part = Part(found.run, begin, _text(found, begin, most), found.state, found.length, found)
        if part.text or begin >= found.length:
            return part
    return part  # it is begun anew between each two queries


def _text(stream: Stream, position: int, most: int | None) -> str:
    """Return the text behind a position, ``most`` characters and the rest of a piece."""
    texts, size = [], 0
    wanted = {} if most is None else {"start__lt": position + most}
    while most is None or size < most:
        some = list(rows.chunks(stream).filter(**wanted, end__gt=position)[:_AT_ONCE])
        for chunk in some:
            # A piece may have become part of a larger one since the last query.
            text = after(chunk.text, position - chunk.start)
            position, size = chunk.end, size + len(text)
            texts.append(text)
        if len(some) < _AT_ONCE:
            break
    return "".join(texts)


def tell_interrupted(streams: rows.Streams) -> int:
    """Note of some streams whose writer is gone that it is, and tell pages; return how many."""
    ended = rows.interrupt(streams)
    for stream in ended:
        telling.tell(stream, stream.length, on_commit=True)
    return len(ended)
