"""
Publish envelopes and read the replies; no I/O.

Source: Centrifugo's server API (centrifugal.dev, "Server API walkthrough").
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from instant.centrifugo.api.publish_requests import command, requests_for
from instant.exceptions import (
    BatchError,
    InvalidAPIKey,
    InvalidReply,
    PayloadTooLarge,
    PublishError,
    ServerRefused,
    UnknownNamespace,
)
from instant.publishing.publication import Envelope, Part, Position

__all__ = [
    "NOT_CENTRIFUGO",
    "publishing",
    "read_reply",
    "refused",
    "seconds_for",
    "status_error",
]

_FOR_EACH = 0.0005
"""Seconds that a request may take longer for each publication but the first."""

_UNAUTHORIZED = 401
_TOO_LARGE = 413
_OK = 200


def publishing(
    envelopes: Sequence[Envelope], timeout: float
) -> Generator[tuple[str, bytes, float], tuple[int, bytes], None]:
    """
    Publish envelopes, as a generator that leaves the I/O to its caller.

    It yields path, body and seconds, and is sent status and body of the reply, or has the error
    of the request thrown in. So it serves the synchronous and the asynchronous client. Each
    request has ``timeout`` seconds, or those of its envelopes, and more where there is much to do
    for it. A refused publication doesn't stop the others, a failed request stops everything.
    """
    if len(envelopes) == 1 and len(envelopes[0].channels) == 1:
        yield from _publishing_one(envelopes[0], timeout)
        return
    errors: list[PublishError] = []
    sent, total = 0, sum(len(envelope.channels) for envelope in envelopes)
    for method, body, parts in requests_for(envelopes):
        try:
            status, reply = yield f"/api/{method}", body, _seconds(parts, timeout)
            refused_now = read_reply(method, parts, status, reply)
        except PublishError as exc:
            for envelope in envelopes:
                envelope.give_up()
            if sent:
                exc.args = (f"{exc} {sent:,} of {total:,} publications were sent before.",)
            raise
        sent += sum(map(len, parts)) - len(refused_now)
        errors += refused_now
    if not errors:
        return
    raise BatchError(
        f"{len(errors)} of {total} publications were refused, the others were sent. "
        f"The first error: {errors[0]}",
        errors=errors,
    )


def _publishing_one(
    envelope: Envelope, timeout: float
) -> Generator[tuple[str, bytes, float], tuple[int, bytes], None]:
    """Publish to one channel: what nearly every call does, without what others need."""
    publication = envelope.publications[0]
    method, body = command(envelope.channels, envelope)
    seconds = timeout if envelope.timeout is None else envelope.timeout
    try:
        status, text = yield f"/api/{method}", body, seconds
        if status != _OK:
            raise status_error(status, publication.channel)
        try:
            reply = json.loads(text)
            error = reply.get("error")
            if error is None:
                publication.offset, publication.epoch = _position(reply)
                publication.state = "sent"
                return
            raise refused(publication.channel, error)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise InvalidReply(NOT_CENTRIFUGO, channel=publication.channel, code=status) from exc
    except PublishError as exc:
        publication.state = "failed"
        if exc.channel is None:
            exc.channel = publication.channel
        raise


def _seconds(parts: Sequence[Part], timeout: float) -> float:
    longest = max(timeout if (own := part.envelope.timeout) is None else own for part in parts)
    return seconds_for(sum(map(len, parts)), longest)


def seconds_for(count: int, timeout: float) -> float:
    """Return how long a request with so many publications may take."""
    return timeout + _FOR_EACH * max(count - 1, 0)


def read_reply(
    method: str, parts: Sequence[Part], status: int, body: bytes
) -> Sequence[PublishError]:
    """
    Read a reply: set state, offset and epoch of the publications; return why some were refused.

    Raises a PublishError where the whole request failed.
    """
    channel = parts[0].channel(0) if method == "publish" else None
    if status != _OK:
        raise status_error(status, channel)
    if method == "broadcast" and _all_sent(parts[0], body):
        return ()
    try:
        reply = json.loads(body)
    except ValueError as exc:
        raise InvalidReply(NOT_CENTRIFUGO, channel=channel, code=status) from exc
    try:
        return list(_READERS[method](parts, reply))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise InvalidReply(NOT_CENTRIFUGO, channel=channel, code=status) from exc


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


def _read_publish(parts: Sequence[Part], reply: Any) -> Iterator[PublishError]:
    yield from _read_items(parts[0], [reply])


def _read_broadcast(parts: Sequence[Part], reply: Any) -> Iterator[PublishError]:
    if "error" in reply:
        yield from _none_sent(parts[0], reply["error"])
    else:
        yield from _read_items(parts[0], reply["result"]["responses"])


def _read_batch(parts: Sequence[Part], reply: Any) -> Iterator[PublishError]:
    if "error" in reply:
        for part in parts:
            yield from _none_sent(part, reply["error"])
        return
    for part, item in zip(parts, reply["replies"], strict=True):
        if "error" in item:
            yield from _none_sent(part, item["error"])
        elif len(part) == 1:
            yield from _read_items(part, [{"result": item["publish"]}])
        else:
            yield from _read_items(part, item["broadcast"]["responses"])


_READERS = {"publish": _read_publish, "broadcast": _read_broadcast, "batch": _read_batch}


def _all_sent(part: Part, body: bytes) -> bool:
    """
    Tell from the bytes alone whether a broadcast reached every channel; mark it as sent if so.

    The reply for a thousand channels has 40 kB, most of it offsets that few callers read, so they
    are decoded on first use.
    """
    if not (
        body.startswith(b'{"result":{"responses":[{"result":')
        and body.endswith(b"}]}}")
        # Inside a string the quotation marks would be escaped, so each of these is a result.
        and body.count(b'{"result":') == len(part) + 1
    ):
        return False
    part.sent(lambda: _positions(body))
    return True


def _positions(body: bytes) -> list[Position]:
    return list(map(_position, json.loads(body)["result"]["responses"]))


def _none_sent(part: Part, error: Mapping[str, Any]) -> Iterator[PublishError]:
    """Mark a part as failed for which the server has one error."""
    part.mark("failed")
    yield refused(part.channel(0) if len(part) == 1 else None, error)


def _read_items(part: Part, items: Sequence[Any]) -> Iterator[PublishError]:
    """Read what became of each publication, in order."""
    if len(items) != len(part):
        raise ValueError(f"{len(items)} results for {len(part)} publications")
    if not any("error" in item for item in items):
        part.sent(partial(list, [_position(item) for item in items]))
        return
    for index, item in enumerate(items):
        one = part.part(index)
        if "error" in item:
            one.mark("failed")
            yield refused(part.channel(index), item["error"])
        else:
            one.sent(partial(list, [_position(item)]))


def _position(item: Any) -> Position:
    result = item["result"]
    return result.get("offset"), result.get("epoch")


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
