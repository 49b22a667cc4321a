"""
The requests that publish envelopes: their bodies, and what goes into which.

Source: Centrifugo's server API (centrifugal.dev, "Server API walkthrough"). Tests compare the
bodies with those of cent, the official client.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from json.encoder import encode_basestring_ascii

from instant.channels.names import MAX_BYTES
from instant.publishing.publication import Envelope, Part

__all__ = ["beginning", "command", "requests_for"]

_MAX_BODY = 512 * 1024
"""A reverse proxy in front of the server refuses over 1 MiB by default (nginx)."""
_MAX_COMMANDS = 1000
_MAX_PUBLICATIONS = 10_000
"""What the server has to do for one request, while somebody waits for its reply."""
_LEAST_FOR_NAMES = 16 * 1024
"""Bytes for names beside a payload that leaves hardly any."""


def requests_for(envelopes: Sequence[Envelope]) -> Iterator[tuple[str, bytes, Sequence[Part]]]:
    """
    Yield method, body and parts of envelopes of each request that is needed, in order.

    Several envelopes go into one ``batch``, which the server runs in sequence. What is too large
    for one request is split, a broadcast by its channels: each part has the idempotency key, which
    the server counts for each channel.
    """
    if len(envelopes) == 1:
        for part in _parts(envelopes[0]):
            yield *command(part.channels, part.envelope), (part,)
        return
    parts: list[Part] = []
    commands: list[bytes] = []
    size = count = 0
    for envelope in envelopes:
        for part in _parts(envelope):
            method, parameters = command(part.channels, part.envelope)
            if commands and (
                size + len(parameters) > _MAX_BODY
                or count + len(part) > _MAX_PUBLICATIONS
                or len(commands) == _MAX_COMMANDS
            ):
                yield "batch", _batch(commands), parts
                parts, commands, size, count = [], [], 0, 0
            parts.append(part)
            commands.append(b'{"%b":%b}' % (method.encode(), parameters))
            size += len(parameters)
            count += len(part)
    if commands:
        yield "batch", _batch(commands), parts


def _parts(envelope: Envelope) -> Iterator[Part]:
    """Yield the envelope's parts, each small enough for a request."""
    names = envelope.channels
    room = max(_MAX_BODY - len(envelope.body), _LEAST_FOR_NAMES)
    if len(names) <= _MAX_PUBLICATIONS and (
        # Mostly it can be told without a look at each name.
        len(names) * (MAX_BYTES + 3) <= room or sum(map(len, names)) + 3 * len(names) <= room
    ):
        yield Part(envelope, 0, len(names))
        return
    ends = list(accumulate(len(name) + 3 for name in names))
    start = sent = 0
    while start < len(names):
        stop = min(max(bisect_right(ends, sent + room), start + 1), start + _MAX_PUBLICATIONS)
        yield Part(envelope, start, stop)
        start, sent = stop, ends[stop - 1]


def command(names: Sequence[str], envelope: Envelope) -> tuple[str, bytes]:
    """Return the API method that publishes an envelope to channels, and its parameters as JSON."""
    key = _quote(envelope.idempotency_key)
    rest = b"%b%b" % (key, b',"skip_history":true' if envelope.passing else b"")
    if len(names) == 1:
        channel = _quote(names[0])
        body = b'{"channel":%b,"data":%b,"idempotency_key":%b}' % (channel, envelope.body, rest)
        return "publish", body
    body = b'{"channels":[%b],"data":%b,"idempotency_key":%b}' % (
        _quote_all(names),
        envelope.body,
        rest,
    )
    return "broadcast", body


def beginning(name: str) -> str:
    """Return how the parameters begin with which command() publishes to one channel."""
    return '{"channel":' + encode_basestring_ascii(name) + ","


def _batch(commands: Sequence[bytes]) -> bytes:
    return b'{"commands":[%b]}' % b",".join(commands)


def _quote_all(names: Sequence[str]) -> bytes:
    """Return the names as items of a JSON list. Valid names are printable ASCII."""
    joined = '","'.join(names)
    if "\\" in joined or joined.count('"') != 2 * (len(names) - 1):
        return b",".join(map(_quote, names))
    return f'"{joined}"'.encode()


def _quote(text: str) -> bytes:
    return encode_basestring_ascii(text).encode()
