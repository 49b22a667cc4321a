"""The blocks in which a stream is written: for synchronous and for async code."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from asgiref.sync import sync_to_async
from django.utils.asyncio import async_unsafe

from instant.exceptions import StreamError
from instant.streaming.model import Stream
from instant.streaming.writing import Writing

__all__ = ["AsyncStreamWriter", "StreamBlock", "StreamWriter"]

logger = logging.getLogger("instant.streams")

State = Stream.State


class _Writer:
    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    @property
    def channel(self) -> str:
        """The channel that is written to."""
        return self._writing.channel

    @property
    def state(self) -> str:
        """``writing``; behind the block ``done``, ``failed``, ``interrupted`` or ``cancelled``."""
        return str(self._writing.stream.state)

    @property
    def length(self) -> int:
        """How long the text is, as JavaScript counts."""
        return self._writing.length


class StreamWriter(_Writer):
    """What ``with stream(…) as out`` gives."""

    def write(self, text: str) -> None:
        """
        Append text, which pages see within a twentieth of a second.

        Raises StreamCancelled where nobody wants to read on, StreamTooLong behind the limit, and
        StreamLost where somebody else has begun the stream anew, or it was deleted.
        """
        if self._writing.add(text):
            self._writing.flush()

    def flush(self) -> None:
        """Have pages see now what was written."""
        self._writing.flush()


class AsyncStreamWriter(_Writer):
    """What ``async with stream(…) as out`` gives."""

    async def write(self, text: str) -> None:
        """See StreamWriter.write()."""
        if self._writing.add(text):
            await sync_to_async(self._writing.flush)()

    async def flush(self) -> None:
        """See StreamWriter.flush()."""
        await sync_to_async(self._writing.flush)()


class StreamBlock:
    """What ``stream()`` returns: a block of either kind, to be entered once."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    if not TYPE_CHECKING:  # where types are checked, they say it

        def __getattr__(self, name: str) -> NoReturn:
            channel = self.__dict__["_writing"].channel if "_writing" in self.__dict__ else "…"
            raise AttributeError(
                f"stream() returns a block, which has no {name!r}. Write inside of it: “with "
                f'stream("{channel}") as out: out.write(…)”, or “async with stream("{channel}") '
                f"as out: await out.write(…)”."
            )

    @async_unsafe(
        "“with stream(…)” would hold up the event loop of this thread. Use “async with stream(…) "
        "as out: await out.write(…)”."
    )
    def __enter__(self) -> StreamWriter:
        self._writing.begin()
        return StreamWriter(self._writing)

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        return self._end(error)

    async def __aenter__(self) -> AsyncStreamWriter:
        await sync_to_async(self._writing.begin)()
        return AsyncStreamWriter(self._writing)

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        return bool(await sync_to_async(self._end)(error))

    def _end(self, error: BaseException | None) -> bool:
        """End as the block did; tell whether its error is only that nobody wanted to read on."""
        if error is None:
            self._writing.end(State.DONE)
            return False
        # A task that is cancelled, Ctrl-C: nobody knows what will become of it.
        state = State.FAILED if isinstance(error, Exception) else State.INTERRUPTED
        try:
            self._writing.end(state)
        except StreamError as exc:
            logger.debug("%s: %s", self._writing.channel, exc)
        except Exception:
            logger.exception("The end of %s could not be written.", self._writing.channel)
        return self._writing.is_cancelled(error)
