"""What is written beside a message, of which its publication says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

__all__ = ["Note", "current", "noted"]


class Note(NamedTuple):
    """What is written beside a message."""

    sender: Any = None
    context: Any = None
    is_reply: bool = False
    request: Any = None
    """The primary key of what it replies to."""
    always: bool = False
    """Whether it is stored where the channel's rule says nothing: a notification is."""
    never: bool = False
    """Whether it isn't stored, whatever the channel's rule says: a ping isn't."""


_note: ContextVar[Note] = ContextVar("instant_message_note", default=Note())  # noqa: B039  it is frozen


def current() -> Note:
    """Return what is noted here."""
    return _note.get()


@contextmanager
def noted(note: Note) -> Iterator[None]:
    """Publish with this beside the messages."""
    token = _note.set(note)
    try:
        yield
    finally:
        _note.reset(token)
