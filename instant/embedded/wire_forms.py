"""Messages to clients, and the bytes of each transport around them.

A push is encoded once for each form, not once for each subscriber.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from .errors import ClientError, Disconnect, Unsubscribe
from .json_text import quote


def websocket(text: str) -> bytes:
    """Frame `text` as a server's unmasked WebSocket text message (RFC 6455, 5.2)."""
    payload = text.encode("utf-8", "replace")
    size = len(payload)
    if size < 126:  # noqa: PLR2004  RFC 6455: 126 and 127 announce a longer length
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 2**16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def event(text: str) -> bytes:
    """Frame `text` as a server-sent event."""
    return b"data: " + text.encode("utf-8", "replace") + b"\n\n"


def line(text: str) -> bytes:
    """Frame `text` as a line of a streamed response."""
    return text.encode("utf-8", "replace") + b"\n"


class Form(Enum):
    """How a transport sends messages: the bytes around them, and whether pushes are wrapped."""

    WEBSOCKET = (websocket, True)
    EVENT = (event, True)
    LINE = (line, True)
    BARE_WEBSOCKET = (websocket, False)
    BARE_EVENT = (event, False)
    BARE_LINE = (line, False)

    def __init__(self, frame: Callable[[str], bytes], wrapped: bool) -> None:
        self.frame = frame
        self.wrapped = wrapped

    # Each publication looks a member up once per subscriber; Enum's own hash is Python code.
    __hash__ = object.__hash__


class Push:
    """A push to any number of clients."""

    __slots__ = ("_encoded", "_size", "body")

    def __init__(self, body: str) -> None:
        self.body = body
        self._size = 0
        self._encoded: dict[Form, bytes] = {}

    def encoded(self, form: Form) -> bytes:
        """Return the bytes for `form`, which the first call makes."""
        found = self._encoded.get(form)
        if found is None:
            text = '{"push":' + self.body + "}" if form.wrapped else self.body
            found = self._encoded[form] = form.frame(text)
        return found

    def longer_than(self, limit: int, form: Form) -> bool:
        """Tell whether its text, without the bytes of the transport around it, has more bytes."""
        around = len('{"push":}') if form.wrapped else 0
        self._size = self._size or len(self.body.encode("utf-8", "replace"))
        return self._size + around > limit


def reply(command: int, name: str, result: str) -> str:
    """Write the reply to a command that succeeded; `result` is JSON, 0 is no number."""
    number = f'"id":{command},' if command else ""
    return f'{{{number}"{name}":{result}}}'


def error_body(error: ClientError) -> str:
    """Write an error; what is 0, "" or false is left out."""
    members = [f'"code":{error.code}'] if error.code else []
    members += [f'"message":{quote(error.message)}'] if error.message else []
    members += ['"temporary":true'] if error.temporary else []
    return "{" + ",".join(members) + "}"


def error_reply(command: int, error: ClientError) -> str:
    """Write the reply to a command that failed."""
    return f'{{"id":{command},"error":{error_body(error)}}}'


def channel_push(channel: str, name: str, body: str) -> Push:
    """Make a push for the subscribers of `channel`, with `body` (JSON) under `name`."""
    where = f'"channel":{quote(channel)},' if channel else ""
    return Push(f'{{{where}"{name}":{body}}}')


def unsubscribe_push(channel: str, why: Unsubscribe) -> Push:
    """Make the push that tells a client that the server ended a subscription."""
    return channel_push(
        channel, "unsubscribe", f'{{"code":{why.code},"reason":{quote(why.reason)}}}'
    )


def disconnect_push(why: Disconnect) -> Push:
    """Make the push that tells a client why its connection ends."""
    return Push(f'{{"disconnect":{{"code":{why.code},"reason":{quote(why.reason)}}}}}')
