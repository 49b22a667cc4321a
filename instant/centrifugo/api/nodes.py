"""
Several nodes of one server, where each knows only who is present on itself.

Whatever is told to one node (unsubscribe, disconnect, publish) reaches them all. Only presence
has to be asked of each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from instant.centrifugo.api.commands import Command, NodeCount, batches, replies
from instant.centrifugo.api.pool import ConnectionPool
from instant.exceptions import PublishError, UnknownNamespace

__all__ = ["Nodes", "Partial"]

_AWAY = 10.0
"""
Seconds for which a node that didn't answer isn't asked again.

After 7 without a sign of life the others no longer count it.
"""

_LEAST = 0.01
"""Seconds for the last, whatever the others took."""


@dataclass(frozen=True, slots=True)
class Partial:
    """What some of the nodes know, and why the rest is missing."""

    result: Any
    error: PublishError


class Nodes:
    """The nodes by the addresses of their APIs; safe for threads and forks."""

    def __init__(
        self,
        urls: Sequence[str],
        headers: dict[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pools = {url: ConnectionPool(url, headers=headers) for url in urls}
        self._clock = clock
        self._away: dict[str, tuple[float, PublishError]] = {}

    def run(self, commands: Sequence[Command], timeout: float) -> list[Any]:
        """
        Run commands of which each node knows a part, and return what they know together.

        ``timeout`` is for a request to each of them, together. Where a node doesn't answer that
        the others still count among them, or one that they count isn't named, each result is a
        Partial. Raises a PublishError where none answers.
        """
        found: list[list[Any]] = []
        error: PublishError | None = None
        counts = []
        for url, pool, share in self._in_turn(timeout):
            try:
                *results, count = _run(pool, [*commands, NodeCount()], share)
            except PublishError as exc:
                self._away[url] = (self._clock() + _AWAY, exc)
                error = exc
                continue
            self._away.pop(url, None)
            found.append(results)
            counts.append(count if isinstance(count, int) else 0)
        error = error or next((exc for _, exc in self._away.values()), None)
        if not found:
            raise error or PublishError("No node is named.")
        merged = [
            _merged(command, told)
            for command, told in zip(commands, zip(*found, strict=True), strict=True)
        ]
        if max(counts) <= len(found):
            return merged
        missing = error or PublishError(
            f"The server has {max(counts)} nodes, and INSTANT['ENGINE'] names {len(found)} in "
            f"“nodes”: what the others know is not known."
        )
        return [one if isinstance(one, PublishError) else Partial(one, missing) for one in merged]

    def each(self, path: str, body: bytes, timeout: float) -> list[tuple[int, bytes]]:
        """Post to each node that answers; raise a PublishError where none does."""
        found, error = [], None
        for url, pool, share in self._in_turn(timeout):
            try:
                found.append(pool.post(path, body, share))
            except PublishError as exc:
                self._away[url] = (self._clock() + _AWAY, exc)
                error = exc
        if not found:
            raise error or PublishError("No node is named.")
        return found

    def close(self) -> None:
        """Close idle connections."""
        for pool in self._pools.values():
            pool.close()

    def _in_turn(self, timeout: float) -> Iterator[tuple[str, ConnectionPool, float]]:
        """
        Yield the nodes to ask, and the seconds for each: silent ones leave some for the others.

        Those that did not answer just now are left out, if any did.
        """
        now = self._clock()
        away = {url for url, (until, _) in self._away.items() if until > now}
        if len(away) == len(self._pools):
            away = set()
        asked = [(url, pool) for url, pool in self._pools.items() if url not in away]
        for index, (url, pool) in enumerate(asked):
            left = max(now + timeout - self._clock(), _LEAST)
            yield url, pool, left / (len(asked) - index)


def _run(pool: ConnectionPool, commands: Sequence[Command], timeout: float) -> list[Any]:
    found: list[Any] = []
    for body, part in batches(commands):
        status, reply = pool.post("/api/batch", body, timeout)
        found += replies(part, status, reply)
    return found


def _merged(command: Command, told: Sequence[Any]) -> Any:
    errors = [one for one in told if isinstance(one, PublishError)]
    # What one of them doesn't know, the server doesn't, whatever else is wrong with it.
    errors.sort(key=lambda one: not isinstance(one, UnknownNamespace))
    return errors[0] if errors else command.merged(told)
