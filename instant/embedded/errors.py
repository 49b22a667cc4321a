"""Errors and disconnects of the client protocol, by the names the protocol gives them.

::

    Exception
    ├── Malformed         input that is not a command, a request or JSON of the expected type
    ├── Failure           the command is answered with an error; the connection goes on
    ├── Closing           the connection is closed with a disconnect code
    └── HistoryFileError  the history file can't be used
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientError:
    """An error in a reply; `temporary` tells an SDK to try again."""

    code: int
    message: str
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Why a connection ends: WebSocket close code and reason."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Why a subscription ends; from code 2500 on, an SDK subscribes again."""

    code: int
    reason: str


class Malformed(ValueError):
    """Input that can't be read as what it should be."""


class Failure(Exception):
    """Raised to answer the current command with `error`."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(error.message)
        self.error = error


class Closing(Exception):
    """Raised to close the connection with `disconnect`."""

    def __init__(self, disconnect: Disconnect) -> None:
        super().__init__(disconnect.reason)
        self.disconnect = disconnect


class HistoryFileError(Exception):
    """The history file can't be used; the message names it and says what to do."""


def traceback_of(bug: BaseException) -> str:
    """Describe a bug by its type and place, without its message, which may hold a secret."""
    frames = traceback.extract_tb(bug.__traceback__)
    places = "".join(f"\n  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return type(bug).__name__ + places


INTERNAL = ClientError(100, "internal server error", temporary=True)
UNKNOWN_CHANNEL = ClientError(102, "unknown channel")
PERMISSION_DENIED = ClientError(103, "permission denied")
METHOD_NOT_FOUND = ClientError(104, "method not found")
ALREADY_SUBSCRIBED = ClientError(105, "already subscribed")
LIMIT_EXCEEDED = ClientError(106, "limit exceeded")
BAD_REQUEST = ClientError(107, "bad request")
NOT_AVAILABLE = ClientError(108, "not available")
TOKEN_EXPIRED = ClientError(109, "token expired")
EXPIRED = ClientError(110, "expired")
UNRECOVERABLE_POSITION = ClientError(112, "unrecoverable position")

# The HTTP API has other words for 104 than the client protocol.
API_NOT_FOUND = ClientError(104, "not found")

CONNECTION_CLOSED = Disconnect(3000, "connection closed")
SHUTDOWN = Disconnect(3001, "shutdown")
SERVER_ERROR = Disconnect(3004, "internal server error")
CONNECTION_EXPIRED = Disconnect(3005, "connection expired")
SUBSCRIPTION_EXPIRED = Disconnect(3006, "subscription expired")
SLOW = Disconnect(3008, "slow")
INSUFFICIENT_STATE = Disconnect(3010, "insufficient state")
NO_PONG = Disconnect(3012, "no pong")
INVALID_TOKEN = Disconnect(3500, "invalid token")
BAD_REQUEST_CLOSE = Disconnect(3501, "bad request")
STALE = Disconnect(3502, "stale")
FORCE_DISCONNECT = Disconnect(3503, "force disconnect")
CONNECTION_LIMIT = Disconnect(3504, "connection limit")
CHANNEL_LIMIT = Disconnect(3505, "channel limit")
INAPPROPRIATE_PROTOCOL = Disconnect(3506, "inappropriate protocol")
PERMISSION_DENIED_CLOSE = Disconnect(3507, "permission denied")
NOT_AVAILABLE_CLOSE = Disconnect(3508, "not available")

# A client that can't send commands can't read errors either. By error code, what closes its
# connection instead; for any other code it is SERVER_ERROR.
ONE_WAY_DISCONNECTS: dict[int, Disconnect] = {
    109: CONNECTION_EXPIRED,
    110: CONNECTION_EXPIRED,
    111: Disconnect(3013, "too many requests"),
    103: PERMISSION_DENIED_CLOSE,
}

UNSUBSCRIBED_BY_SERVER = Unsubscribe(2000, "server unsubscribe")
UNSUBSCRIBED_INSUFFICIENT = Unsubscribe(2500, "insufficient state")
UNSUBSCRIBED_EXPIRED = Unsubscribe(2501, "subscription expired")
