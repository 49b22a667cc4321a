"""
A subscription over a WebSocket, as a browser has it, for the command line.

Source: Centrifugo's client protocol (centrifugal.dev, "Client protocol"), JSON frames.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

__all__ = ["Ended", "ListenError", "Subscription", "publications"]

_PATIENCE = 10.0
"""Seconds for connecting, and for a ping that is late."""

_TEXTS = {
    3500: "it doesn't accept the token that Django signed, because it runs with another HMAC key. "
    "Start it with “manage.py runws”, or give it the key that Django has",
    3503: "the rights of this user were revoked",
    102: "the channel's namespace is not in its config. Run “manage.py syncws --reload”",
    103: "it refuses the subscription",
}
"""What codes of errors and disconnects mean, with the remedy."""


class ListenError(Exception):
    """It can't be listened. The message names the address and the remedy."""


class Ended(Exception):
    """The connection or the subscription ended, and a new one may be opened."""


@dataclass(slots=True)
class Subscription:
    """Where to listen, and with which tokens; remembers how far it has come."""

    url: str
    """The server's WebSocket address."""
    channel: str
    token: str = field(repr=False)
    channel_token: str = field(default="", repr=False)
    """Empty where the server asks Django itself."""
    offset: int | None = None
    epoch: str = ""

    def request(self) -> str:
        """Return the two commands that a client begins with."""
        subscribe: dict[str, Any] = {"channel": self.channel, "token": self.channel_token}
        if self.offset is not None:
            subscribe |= {"recover": True, "offset": self.offset, "epoch": self.epoch}
        connect = {"id": 1, "connect": {"token": self.token, "name": "manage.py listen"}}
        return "\n".join(map(json.dumps, (connect, {"id": 2, "subscribe": subscribe})))


async def publications(
    subscription: Subscription, subscribed: Callable[[], None]
) -> AsyncIterator[Any]:
    """
    Yield what is published; ``subscribed`` is called once nothing can be missed.

    After an earlier end, what was missed comes first, where the server keeps a history. Raises
    Ended where it is worth to try again, and ListenError.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        socket = await _open(session, subscription.url)
        try:
            await socket.send_str(subscription.request())
            patience: float | None = _PATIENCE
            while True:
                for frame in await _frames(socket, subscription, patience):
                    if not frame:
                        await socket.send_str("{}")
                    elif "connect" in frame:
                        ping = frame["connect"].get("ping")
                        patience = ping + _PATIENCE if ping else None
                    for data in _read(frame, subscription, subscribed):
                        yield data
        except OSError as exc:
            raise Ended(f"{subscription.url}: {exc}") from exc
        finally:
            await socket.close()


async def _open(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    try:
        return await session.ws_connect(url, max_msg_size=0)
    except aiohttp.WSServerHandshakeError as exc:
        raise ListenError(
            f"{url} answers {exc.status} instead of opening a WebSocket: is it Centrifugo, at its "
            f'path /connection/websocket? The address is INSTANT["PUBLIC_URL"], or the server\'s '
            f"port on this machine."
        ) from exc
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        raise ListenError(
            f"No server answers at {url}: {exc}. Start it with “manage.py runws”, "
            f"or in development with “manage.py runserver”."
        ) from exc


async def _frames(
    socket: aiohttp.ClientWebSocketResponse, subscription: Subscription, patience: float | None
) -> list[dict[str, Any]]:
    try:
        message = await socket.receive(patience)
    except TimeoutError:
        raise Ended(f"{subscription.url} is silent") from None
    if message.type is aiohttp.WSMsgType.TEXT:
        return [json.loads(line) for line in message.data.splitlines() if line]
    code = socket.close_code or 0
    # 3500 to 3999 and 4500 to 4999 say that connecting again is of no use.
    if 3500 <= code < 4000 or 4500 <= code < 5000:  # noqa: PLR2004
        raise ListenError(_sentence(subscription, code, str(message.extra or "")))
    raise Ended(f"{subscription.url} ended the connection ({code} {message.extra or ''})")


def _read(
    frame: Mapping[str, Any], subscription: Subscription, subscribed: Callable[[], None]
) -> Iterator[Any]:
    error = frame.get("error")
    if error:
        raise ListenError(_sentence(subscription, error["code"], error.get("message", "")))
    push = frame.get("push") or {}
    if "unsubscribe" in push:
        code = push["unsubscribe"].get("code", 0)
        text = f"{subscription.url} ended the subscription ({code})"
        # From 2500 on a client subscribes again.
        raise Ended(text) if code >= 2500 else ListenError(f"{text}.")  # noqa: PLR2004
    if "disconnect" in push:
        raise Ended(f"{subscription.url} ended the connection")
    reply = frame.get("subscribe")
    if reply is not None:
        if reply.get("positioned") or reply.get("recoverable"):
            subscription.epoch = reply.get("epoch", "")
            subscription.offset = reply.get("offset", 0)
        subscribed()
        found = reply.get("publications") or []
    else:
        found = [push["pub"]] if "pub" in push else []
    for publication in found:
        if subscription.offset is not None:
            subscription.offset = publication.get("offset", subscription.offset)
        yield publication.get("data")


def _sentence(subscription: Subscription, code: int, text: str) -> str:
    meaning = _TEXTS.get(code)
    because = f"{code} {text}: {meaning}" if meaning else f"{code} {text}"
    return f"The server at {subscription.url} refuses {subscription.channel!r} ({because})."
