"""Messages that a commit could not send: the pages are told when the server is back."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from uuid import uuid4

from instant.exceptions import PublishError
from instant.publishing.publication import Envelope, Publications

__all__ = ["LossMarks"]

logger = logging.getLogger("instant.producers")

EVENT_CLASS = "instant:lost"
"""The client doesn't hand such a message to listeners, unless a page has published it."""

MOST = 10_000
"""Channels to be told at a time: what is kept while the server is away has a bound."""
_FIRST, _LONGEST = 0.5, 5.0
"""Seconds between attempts, each twice as long as the one before it."""


class LossMarks:
    """
    Counts what was lost for each channel, and publishes the count to it: a loss mark.

    A page calls its ``onLost`` listeners for it. Marks go into the channel's history, so that
    pages that connect later get them too. This process alone keeps them, for as long as it lives.
    A thread runs while there are any. ``send`` is called with envelopes and raises a PublishError.
    """

    def __init__(self, send: Callable[[Sequence[Envelope]], None]) -> None:
        self._send = send
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def add(self, channels: Iterable[str]) -> None:
        """Count one lost message for each channel, by the name that the server knows."""
        if (
            self._pid != os.getpid()
        ):  # neither thread nor lock came along, and the marks are the parent's
            self._begin()
        untold = 0
        with self._lock:
            for channel in channels:
                if channel in self._counts or len(self._counts) < MOST:
                    self._counts[channel] += 1
                else:
                    untold += 1
            if self._counts and self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(
                    target=self._tell, name="instant-loss-marks", daemon=True
                )
                self._thread.start()
        if untold:
            logger.error(
                "Messages were lost in more than %d channels: the pages of %d are not told.",
                MOST,
                untold,
            )

    def close(self) -> None:
        """Forget what was not told."""
        self._closed.set()

    def _tell(self) -> None:
        pause = _FIRST
        while not self._closed.wait(pause):
            pause = min(2 * pause, _LONGEST)
            with self._lock:
                counts, self._counts = self._counts, Counter()
            try:
                self._put_back(counts, self._publish(counts))
            except Exception:
                logger.exception("Pages could not be told that they missed messages.")
            with self._lock:
                if not self._counts:
                    self._thread = None
                    return

    def _put_back(self, counts: Counter[str], channels: Iterable[str]) -> None:
        with self._lock:
            for channel in channels:
                self._counts[channel] += counts[channel]

    def _publish(self, counts: Counter[str]) -> list[str]:
        """Publish the marks; return the channels that couldn't be reached."""
        by_count: dict[int, list[str]] = {}
        for channel, count in counts.items():
            by_count.setdefault(count, []).append(channel)
        envelopes = [_mark(channels, count) for count, channels in by_count.items()]
        try:
            self._send(envelopes)
        except PublishError as exc:
            if exc.is_temporary:
                return [
                    channel
                    for envelope in envelopes
                    for channel, publication in zip(
                        envelope.channels, envelope.publications, strict=True
                    )
                    if publication.state != "sent"
                ]
            # The server refuses, and would another time.
            logger.error("Not all pages were told that they missed messages: %s", exc)  # noqa: TRY400
        return []


def _mark(channels: Sequence[str], count: int) -> Envelope:
    key = uuid4().hex
    payload = {"event_class": EVENT_CLASS, "data": {"count": count}, "id": key}
    body = json.dumps(payload, separators=(",", ":")).encode()
    return Envelope(channels, Publications(key, channels, payload), body, key)
