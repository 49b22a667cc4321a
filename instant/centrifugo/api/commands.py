"""
Commands of the server's API other than publishing, sent in batches.

Source: Centrifugo's server API (centrifugal.dev, "Server API walkthrough"). What each command does
to a client was observed on v6.9.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from instant.centrifugo.api import publish
from instant.exceptions import InvalidReply, PublishError

__all__ = [
    "ACCESS_ENDED",
    "ASK_AGAIN",
    "Audience",
    "Channels",
    "Command",
    "Disconnect",
    "NodeCount",
    "Position",
    "Presence",
    "PresenceStats",
    "Since",
    "Subscribe",
    "Unsubscribe",
    "batches",
    "replies",
]

ASK_AGAIN = 4000
"""Disconnect code: the client reconnects at once, and all its rights are checked again."""

ACCESS_ENDED = 3503
"""Disconnect code “force disconnect”: the client does not reconnect."""

_GLOB = re.compile(r"[\\*?\[\]{}]")
_MAX_COMMANDS = 500
_OK = 200


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a batch."""

    method: ClassVar[str]
    of_each_node: ClassVar[bool] = False
    """Whether a node may know a part of the result only."""

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the command as the API names them."""
        return asdict(self)

    def result(self, reply: Mapping[str, Any]) -> Any:  # noqa: ARG002  for subclasses
        """Return what the caller wants of the server's result."""
        return None

    def merged(self, results: Sequence[Any]) -> Any:
        """Return the result of all nodes together, where each knows a part."""
        return results[0]


@dataclass(frozen=True, slots=True)
class Unsubscribe(Command):
    """Unsubscribe a user's connections from a channel; ``""`` stands for all anonymous ones."""

    method: ClassVar[str] = "unsubscribe"
    user: str
    channel: str

    def __post_init__(self) -> None:
        if not self.channel:
            raise ValueError("Without a channel the server would do nothing, and not say so.")


@dataclass(frozen=True, slots=True)
class Disconnect(Command):
    """Disconnect a user."""

    method: ClassVar[str] = "disconnect"
    user: str
    code: int
    reason: str

    def __post_init__(self) -> None:
        if not self.user:
            raise ValueError("Without a user this would disconnect every anonymous connection.")

    def parameters(self) -> dict[str, Any]:
        """See Command."""
        return {"user": self.user, "disconnect": {"code": self.code, "reason": self.reason}}


@dataclass(frozen=True, slots=True)
class Presence(Command):
    """Ask who is subscribed. The result is the set of users, with ``""`` for anonymous ones."""

    method: ClassVar[str] = "presence"
    of_each_node: ClassVar[bool] = True
    channel: str

    def result(self, reply: Mapping[str, Any]) -> set[str]:
        """See Command."""
        return {str(client.get("user", "")) for client in (reply.get("presence") or {}).values()}

    def merged(self, results: Sequence[set[str]]) -> set[str]:
        """See Command."""
        return set().union(*results)


@dataclass(frozen=True, slots=True)
class PresenceStats(Command):
    """Ask how many are subscribed: the result is the number of connections, and of users."""

    method: ClassVar[str] = "presence_stats"
    of_each_node: ClassVar[bool] = True
    channel: str

    def result(self, reply: Mapping[str, Any]) -> tuple[int, int]:
        """See Command."""
        return int(reply.get("num_clients") or 0), int(reply.get("num_users") or 0)

    def merged(self, results: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """See Command; a user who is on two nodes counts twice."""
        return sum(clients for clients, _ in results), sum(users for _, users in results)


@dataclass(frozen=True, slots=True)
class Channels(Command):
    """Ask which channels have subscribers. The result is the set of names that match a glob."""

    method: ClassVar[str] = "channels"
    pattern: str

    def result(self, reply: Mapping[str, Any]) -> set[str]:
        """See Command."""
        return set(reply.get("channels") or {})


@dataclass(frozen=True, slots=True)
class Audience(Command):
    """Ask how many connections hear a channel, on all nodes, with presence or without."""

    method: ClassVar[str] = "channels"
    channel: str

    def parameters(self) -> dict[str, Any]:
        """See Command: a channel's name may have characters of a glob."""
        return {"pattern": _GLOB.sub(r"\\\g<0>", self.channel)}

    def result(self, reply: Mapping[str, Any]) -> int:
        """See Command."""
        found = (reply.get("channels") or {}).get(self.channel) or {}
        return int(found.get("num_clients") or 0)


@dataclass(frozen=True, slots=True)
class NodeCount(Command):
    """Ask how many nodes the server has. One that ended without a word counts for 7 seconds."""

    method: ClassVar[str] = "info"

    def result(self, reply: Mapping[str, Any]) -> int:
        """See Command."""
        return len(reply.get("nodes") or ())


@dataclass(frozen=True, slots=True)
class Position(Command):
    """Ask for ``offset`` and ``epoch`` of the newest publication, also of an unused channel."""

    method: ClassVar[str] = "history"
    channel: str

    def parameters(self) -> dict[str, Any]:
        """See Command."""
        return {"channel": self.channel, "limit": 0}

    def result(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """See Command."""
        return {"offset": int(reply.get("offset") or 0), "epoch": str(reply["epoch"])}


@dataclass(frozen=True, slots=True)
class Since(Command):
    """Ask for publications after a position, oldest first: ``data``, ``offset`` and ``info``."""

    method: ClassVar[str] = "history"
    channel: str
    offset: int
    epoch: str
    limit: int

    def parameters(self) -> dict[str, Any]:
        """See Command."""
        since = {"offset": self.offset, "epoch": self.epoch}
        return {"channel": self.channel, "limit": self.limit, "since": since}

    def result(self, reply: Mapping[str, Any]) -> list[dict[str, Any]]:
        """See Command."""
        return [
            {key: one[key] for key in ("data", "offset", "info") if key in one}
            for one in reply.get("publications") or ()
        ]


@dataclass(frozen=True, slots=True)
class Subscribe(Command):
    """
    Subscribe one connection of a user, which its session names, to a channel.

    Nothing happens where there is none. The client is told from which position on.
    """

    method: ClassVar[str] = "subscribe"
    user: str
    session: str
    channel: str
    info: Any = None

    def __post_init__(self) -> None:
        if not self.session:
            raise ValueError("Without a session this would subscribe every anonymous connection.")

    def parameters(self) -> dict[str, Any]:
        """See Command."""
        named = {"user": self.user, "session": self.session, "channel": self.channel}
        return named if self.info is None else {**named, "info": self.info}


def batches(commands: Sequence[Command]) -> Iterator[tuple[bytes, Sequence[Command]]]:
    """Yield the body of each request with its commands. The server runs them in order."""
    for start in range(0, len(commands), _MAX_COMMANDS):
        part = commands[start : start + _MAX_COMMANDS]
        listed = [{command.method: command.parameters()} for command in part]
        yield json.dumps({"commands": listed}, separators=(",", ":")).encode(), part


def replies(commands: Sequence[Command], status: int, body: bytes) -> list[Any]:
    """
    Return for each command its result, or the PublishError that it failed with.

    Raises a PublishError if the batch as a whole failed.
    """
    if status != _OK:
        raise publish.status_error(status, None)
    try:
        reply = json.loads(body)
        if "error" in reply:
            raise publish.refused(None, reply["error"])
        return [
            _reply(command, item) for command, item in zip(commands, reply["replies"], strict=True)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise InvalidReply(publish.NOT_CENTRIFUGO, code=status) from exc


def _reply(command: Command, item: Mapping[str, Any]) -> Any | PublishError:
    if "error" in item:
        return publish.refused(getattr(command, "channel", None), item["error"])
    return command.result(item[command.method])
