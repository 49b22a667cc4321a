"""
Encode publishing requests and read the replies to them; no I/O.

Source: Centrifugo's server API (centrifugal.dev, "Server API walkthrough"). Tests compare the
bodies with those of cent, the official client.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from instant.exceptions import (
    BatchError,
    InvalidAPIKey,
    InvalidReply,
    PayloadTooLarge,
    PublishError,
    ServerRefused,
    UnknownNamespace,
)
from instant.publishing.publication import Envelope, Position, Publication, Publications

__all__ = [
    "NOT_CENTRIFUGO",
    "publishing",
    "read_reply",
    "refused",
    "requests_for",
    "status_error",
]

_MAX_BATCH_BYTES = 512 * 1024
"""Bytes. A reverse proxy in front of the server refuses over 1 MiB by default (nginx)."""
_MAX_BATCH_COMMANDS = 1000

_UNAUTHORIZED = 401
_TOO_LARGE = 413
_OK = 200


def publishing(
    envelopes: Sequence[Envelope], timeout: float
) -> Generator[tuple[str, bytes, float], tuple[int, bytes], None]:
    """
    Publish envelopes, as a generator that leaves the I/O to its caller.

    It yields path, body and the seconds that are left, and is sent status and body of the reply,
    or has the error of the request thrown in. So it serves the synchronous and the asynchronous
    client. A refused publication doesn't stop the others, a failed request stops everything.
    """
    deadline = time.monotonic() + timeout
    refused_items: list[PublishError] = []
    for method, body, part in requests_for(envelopes):
        try:
            status, reply = yield f"/api/{method}", body, deadline - time.monotonic()
            read_reply(method, part, status, reply)
        except BatchError as exc:
            refused_items += exc.errors
        except PublishError as exc:
            for envelope in envelopes:
                envelope.give_up()
            if exc.channel is None and len(envelopes) == len(envelopes[0].channels) == 1:
                exc.channel = envelopes[0].channels[0]
            raise
    if refused_items:
        total = sum(len(envelope.channels) for envelope in envelopes)
        raise BatchError(
            f"{len(refused_items)} of {total} publications were refused, the others were sent. "
            f"The first error: {refused_items[0]}",
            errors=refused_items,
        )


def _command(envelope: Envelope) -> tuple[str, bytes]:
    """Return the API method that publishes an envelope, and its parameters as JSON."""
    names = envelope.channels
    key = _quote(envelope.idempotency_key)
    if len(names) == 1:
        channel = _quote(names[0])
        body = b'{"channel":%b,"data":%b,"idempotency_key":%b}' % (channel, envelope.body, key)
        return "publish", body
    body = b'{"channels":[%b],"data":%b,"idempotency_key":%b}' % (
        _quote_all(names),
        envelope.body,
        key,
    )
    return "broadcast", body


def _quote_all(names: Sequence[str]) -> bytes:
    """Return the names as items of a JSON list. Valid names are printable ASCII."""
    joined = '","'.join(names)
    if "\\" in joined or joined.count('"') != 2 * (len(names) - 1):
        return b",".join(map(_quote, names))
    return f'"{joined}"'.encode()


def _quote(text: str) -> bytes:
    return encode_basestring_ascii(text).encode()


def requests_for(
    envelopes: Sequence[Envelope],
) -> Iterator[tuple[str, bytes, Sequence[Envelope]]]:
    """
    Yield method, body and envelopes of each request that is needed, in order.

    Several envelopes go into one ``batch``, which the server runs in sequence; only a very large
    one is split.
    """
    if len(envelopes) == 1:
        yield *_command(envelopes[0]), envelopes
        return
    start, size = 0, 0
    commands: list[bytes] = []
    for index, envelope in enumerate(envelopes):
        method, parameters = _command(envelope)
        full = size + len(parameters) > _MAX_BATCH_BYTES or len(commands) == _MAX_BATCH_COMMANDS
        if commands and full:
            yield "batch", _batch(commands), envelopes[start:index]
            start, size, commands = index, 0, []
        commands.append(b'{"%b":%b}' % (method.encode(), parameters))
        size += len(parameters)
    if commands:
        yield "batch", _batch(commands), envelopes[start:]


def _batch(commands: Sequence[bytes]) -> bytes:
    return b'{"commands":[%b]}' % b",".join(commands)


def read_reply(method: str, envelopes: Sequence[Envelope], status: int, body: bytes) -> None:
    """
    Read a reply: set state, offset and epoch of the publications, and raise if any failed.

    ``publish`` raises the PublishError of its one publication. The other methods raise a
    BatchError whose ``errors`` name those that were refused; the others are marked as sent.
    """
    channel = envelopes[0].channels[0] if method == "publish" else None
    if status != _OK:
        raise status_error(status, channel)
    if method == "broadcast" and _all_sent(envelopes[0], body):
        return
    try:
        reply = json.loads(body)
    except ValueError as exc:
        raise InvalidReply(NOT_CENTRIFUGO, channel=channel, code=status) from exc
    try:
        errors = list(_READERS[method](envelopes, reply))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise InvalidReply(NOT_CENTRIFUGO, channel=channel, code=status) from exc
    if not errors:
        return
    if method == "publish":
        raise errors[0]
    raise BatchError(str(errors[0]), errors=errors)


NOT_CENTRIFUGO = (
    "The reply is not from Centrifugo. Is another service listening at CENTRIFUGO_HOST and "
    "CENTRIFUGO_PORT? (Centrifugo's own default port, 8000, is also the one of runserver.)"
)


def status_error(status: int, channel: str | None) -> PublishError:
    """Return the error for an HTTP status other than 200."""
    if status == _UNAUTHORIZED:
        return InvalidAPIKey(
            "The server refused the API key (HTTP 401): it has another key than Django. Start it "
            "with “manage.py runws”, or make CENTRIFUGO_API_KEY equal to http_api.key in the "
            "server's config.json and restart it.",
            channel=channel,
            code=status,
        )
    if status == _TOO_LARGE:
        return PayloadTooLarge(
            "A reverse proxy in front of the server refused the request as too large (HTTP 413). "
            "Publish less at once, or raise its limit (nginx: client_max_body_size).",
            channel=channel,
            code=status,
        )
    return InvalidReply(f"HTTP status {status}. {NOT_CENTRIFUGO}", channel=channel, code=status)


def _read_publish(envelopes: Sequence[Envelope], reply: Any) -> Iterator[PublishError]:
    yield from _read_item(envelopes[0].publications[0], reply)


def _read_broadcast(envelopes: Sequence[Envelope], reply: Any) -> Iterator[PublishError]:
    yield from _read_responses(envelopes[0], reply)


def _all_sent(envelope: Envelope, body: bytes) -> bool:
    """
    Tell from the bytes alone whether a broadcast reached every channel; mark it as sent if so.

    The reply for a thousand channels has 40 kB, most of it offsets that few callers read, so they
    are decoded on first use.
    """
    publications = envelope.publications
    if not (
        isinstance(publications, Publications)
        and body.startswith(b'{"result":{"responses":[{"result":')
        and body.endswith(b"}]}}")
        # Inside a string the quotation marks would be escaped, so each of these is a result.
        and body.count(b'{"result":') == len(publications) + 1
    ):
        return False
    publications.sent(lambda: _positions(body))
    return True


def _positions(body: bytes) -> list[Position]:
    items = json.loads(body)["result"]["responses"]
    return [(item["result"].get("offset"), item["result"].get("epoch")) for item in items]


def _read_batch(envelopes: Sequence[Envelope], reply: Any) -> Iterator[PublishError]:
    if "error" in reply:
        yield refused(None, reply["error"])
        return
    for envelope, item in zip(envelopes, reply["replies"], strict=True):
        if "error" in item:
            envelope.mark("failed")
            yield refused(envelope.channels[0], item["error"])
        elif len(envelope.channels) == 1:
            _sent(envelope.publications[0], item["publish"])
        else:
            yield from _read_responses(envelope, {"result": item["broadcast"]})


_READERS = {"publish": _read_publish, "broadcast": _read_broadcast, "batch": _read_batch}


def _read_responses(envelope: Envelope, reply: Any) -> Iterator[PublishError]:
    """Read the reply to a broadcast: one item per channel, in order."""
    if "error" in reply:
        envelope.mark("failed")
        yield refused(None, reply["error"])
        return
    for publication, item in zip(envelope.publications, reply["result"]["responses"], strict=True):
        yield from _read_item(publication, item)


def _read_item(publication: Publication, item: Any) -> Iterator[PublishError]:
    if "error" in item:
        publication.state = "failed"
        yield refused(publication.channel, item["error"])
    else:
        _sent(publication, item["result"])


def _sent(publication: Publication, result: Mapping[str, Any]) -> None:
    publication.offset = result.get("offset")
    publication.epoch = result.get("epoch")
    publication.state = "sent"


_REMEDIES = {
    100: "The server has an internal problem, perhaps with Redis or PostgreSQL: see its log.",
    103: "The server's config does not allow it.",
    107: "The server considers the request malformed: see its log for the field.",
    108: "The server's config lacks an option that this needs.",
}
_UNKNOWN_CHANNEL = 102


def refused(channel: str | None, error: Mapping[str, Any]) -> ServerRefused:
    """Return the exception for an error object of the server."""
    code, message = int(error["code"]), str(error.get("message", ""))
    if code == _UNKNOWN_CHANNEL:
        namespace = (channel or "").removeprefix("$").partition(":")[0]
        return UnknownNamespace(
            f"{channel}: the server's config has no namespace {namespace!r} (error 102). "
            f"Declare it in a realtime.py (or in channel.namespaces of config.json) and run "
            f"“manage.py syncws --reload”, or use a name without “:”.",
            channel=channel,
            code=code,
        )
    remedy = _REMEDIES.get(code, "")
    return ServerRefused(
        f"{channel or 'The request'}: the server replied with error {code}, {message}. {remedy}",
        channel=channel,
        code=code,
    )
