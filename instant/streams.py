"""
Text that grows while pages show it: answers of a language model, logs of a long job.

``async with stream("answer:42") as out: await out.write(token)``, or the same without ``async``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from asgiref.sync import sync_to_async

from instant.channels.names import check_name, user_key
from instant.streaming import collecting, rows, stopping
from instant.streaming.block import AsyncStreamWriter, StreamBlock, StreamWriter
from instant.streaming.reading import read_part
from instant.streaming.writing import Writing

__all__ = [
    "AsyncStreamWriter",
    "StreamText",
    "StreamWriter",
    "acancel",
    "aread",
    "cancel",
    "collect",
    "read",
    "stream",
]


class StreamText(NamedTuple):
    """What was written to a stream, and how far it is."""

    text: str
    state: str
    """``writing``, ``done``, ``failed``, ``interrupted`` or ``cancelled``."""


def stream(
    channel: str, *, user: Any = None, resume: bool = False, limit: int | None = None
) -> StreamBlock:
    """
    Return a block, for ``with`` and for ``async with``, in which text is written to a channel.

    Pages show it as it grows, and whoever comes later has all of it: whoever may subscribe to the
    channel may read it. The text that was there is replaced, or continued with ``resume``. The end
    of the block is the end of the text; an exception ends it as ``failed``, of which pages learn no
    more, and a cancelled task or Ctrl-C as ``interrupted``. So is what a process leaves behind that
    dies, ten seconds later.

    ``user`` is for whom it is written: they alone may stop it from a page. Then, and after
    cancel(), the next ``write()`` raises StreamCancelled, which ends the block and nothing else.
    ``limit`` is how many characters it may have, ``INSTANT["STREAM_LIMIT"]`` unless given: more
    raise StreamTooLong. Entering the block raises StreamBusy where somebody else writes to the
    channel, and TransactionManagementError inside a transaction. One that begins in the block is
    no obstacle.
    """
    check_name(channel)
    if user is not None and not hasattr(user, "pk"):
        raise TypeError(f"user is the user for whom it is written, or None, not {user!r}.")
    user_key(user)  # an object of another model raises TypeError
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(
            f"limit is how many characters it may have, such as 10_000, not {limit!r}."
        )
    known = None if user is None or user.pk is None else user
    return StreamBlock(Writing(channel, user=known, resumes=resume, limit=limit))


def read(channel: str) -> StreamText | None:
    """Return what was written to a channel, and how far it is; None where nothing was."""
    part = read_part(channel, most=None)
    return None if part is None else StreamText(part.text, part.state)


async def aread(channel: str) -> StreamText | None:
    """See read()."""
    return await sync_to_async(read)(channel)


def cancel(channel: str) -> bool:
    """
    End the stream of a channel, whoever writes it; tell whether there was anything to end.

    The writer's next ``write()`` raises StreamCancelled.
    """
    return stopping.cancel(rows.own().filter(channel=channel))


async def acancel(channel: str) -> bool:
    """See cancel()."""
    return await sync_to_async(cancel)(channel)


def collect() -> tuple[int, int]:
    """
    Tell pages of streams whose writer died, and delete those that ended long enough ago.

    Those are older than ``INSTANT["STREAM_KEEP"]`` seconds. Returns how many there were of either
    kind; ``manage.py collect_streams`` calls it.
    """
    return collecting.collect()
