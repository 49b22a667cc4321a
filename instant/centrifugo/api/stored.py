"""
Commands that were written to a table as JSON, sent as they are; no I/O.

Source: Centrifugo's server API (centrifugal.dev, "Server API walkthrough"), and its PostgreSQL
consumer, which takes the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from instant.centrifugo.api.publish import NOT_CENTRIFUGO, refused, status_error
from instant.exceptions import InvalidReply

__all__ = ["METHODS", "Stored", "is_known_later", "is_temporary", "parse", "read", "requests"]

METHODS = frozenset(
    {
        "publish",
        "broadcast",
        "subscribe",
        "unsubscribe",
        "disconnect",
        "history_remove",
        "refresh",
    }
)
"""What Centrifugo's consumer takes."""

_TEMPORARY = (100, 111)
"""An internal error, as without Redis, and too many requests."""
_UNKNOWN_CHANNEL = 102

_MAX_BODY = 512 * 1024
_MAX_COMMANDS = 1000
_MAX_PUBLICATIONS = 10_000
"""As in publish_requests: what a request carries at most."""

_OK = 200

Refusal = tuple[int, str]
"""Code and message."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One command."""

    id: int
    method: str
    payload: str
    namespace: str
    channels: Sequence[str]
    """What it publishes to; none where that can't be told."""


def parse(id_: int, method: str, payload: str, namespace: str) -> Stored:
    """Read what a row holds; raise ValueError where no server can have it."""
    if method not in METHODS:
        raise ValueError(f"{method!r} is no method of the server's API that rows may have.")
    try:
        found = json.loads(payload)
    except RecursionError:
        raise ValueError("The payload is nested too deeply.") from None
    if not isinstance(found, dict):
        raise ValueError("The payload is no JSON object.")  # noqa: TRY004  as json does
    channels = found.get("channels") if method == "broadcast" else [found.get("channel")]
    listed = channels if isinstance(channels, list) else ()
    return Stored(id_, method, payload, namespace, [c for c in listed if isinstance(c, str)])


def requests(commands: Sequence[Stored]) -> Iterator[tuple[bytes, Sequence[Stored]]]:
    """Yield the body of each request that is needed, with its commands, in order."""
    part: list[Stored] = []
    bodies: list[bytes] = []
    size = count = 0
    for command in commands:
        body = b'{"%b":%b}' % (command.method.encode(), command.payload.encode())
        if part and (
            size + len(body) > _MAX_BODY
            or count + len(command.channels) > _MAX_PUBLICATIONS
            or len(part) == _MAX_COMMANDS
        ):
            yield b'{"commands":[%b]}' % b",".join(bodies), part
            part, bodies, size, count = [], [], 0, 0
        part.append(command)
        bodies.append(body)
        size += len(body)
        count += len(command.channels)
    if part:
        yield b'{"commands":[%b]}' % b",".join(bodies), part


def read(commands: Sequence[Stored], status: int, body: bytes) -> list[Refusal | None]:
    """
    Return for each command why it was refused, None where it wasn't.

    Of a broadcast that is refused for several channels what is temporary, else the first. Raises
    a PublishError where the request as a whole failed.
    """
    if status != _OK:
        raise status_error(status, None)
    try:
        reply = json.loads(body)
        if "error" in reply:
            raise refused(None, reply["error"])
        return [
            _outcome(command, item)
            for command, item in zip(commands, reply["replies"], strict=True)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise InvalidReply(NOT_CENTRIFUGO, code=status) from exc


def _outcome(command: Stored, item: Mapping[str, Any]) -> Refusal | None:
    if "error" in item:
        return _refusal(item)
    result = item[command.method]
    if command.method != "broadcast":
        return None
    found = [_refusal(response) for response in result["responses"] if "error" in response]
    found.sort(key=lambda refusal: not is_temporary(refusal))
    return found[0] if found else None


def _refusal(item: Mapping[str, Any]) -> Refusal:
    error = item["error"]
    return int(error["code"]), str(error.get("message", ""))


def is_temporary(refusal: Refusal) -> bool:
    """Tell whether the same may be taken a moment later."""
    return refusal[0] in _TEMPORARY


def is_known_later(refusal: Refusal) -> bool:
    """Tell whether it is the config that lacks a namespace, which may be there after a reload."""
    return refusal[0] == _UNKNOWN_CHANNEL
