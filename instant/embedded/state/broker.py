"""The state of a server, and what clients and the HTTP API can do to it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from instant.embedded.config.channels import ChannelOptions
from instant.embedded.config.load import Config, TokenOptions
from instant.embedded.errors import (
    BAD_REQUEST,
    SLOW,
    UNRECOVERABLE_POSITION,
    UNSUBSCRIBED_INSUFFICIENT,
    Failure,
)
from instant.embedded.json_text import dump
from instant.embedded.tokens.verify import Verifier

from .hub import Hub
from .publication import Position, Publication
from .streams import Streams

# The version of Centrifugo that this server answers like.
VERSION = "6.9.1"


class Clock:
    """The two times that sessions go by, in seconds."""

    def now(self) -> float:
        """Return Unix time, which tokens contain."""
        return time.time()

    def monotonic(self) -> float:
        """Return the time of deadlines, which is that of event loops."""
        return time.monotonic()


class Broker:
    """One server's channels, streams and clients."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.hub = Hub()
        self.streams = Streams(self.clock.monotonic, self.hub.channels.__contains__)
        self.reconfigure(config)
        self.node = str(uuid.uuid4())
        self.started = self.clock.monotonic()

    def reconfigure(self, config: Config) -> None:
        """Use another config from now on; clients and streams stay."""
        self.config = config
        self.names = config.names
        self.tokens = self._verifier(config.token)
        self.subscription_tokens = (
            self.tokens
            if config.subscription_token is config.token
            else self._verifier(config.subscription_token)
        )

    def _verifier(self, options: TokenOptions) -> Verifier:
        return Verifier(options, self.clock.now, self.clock.monotonic)

    def publish(
        self,
        channel: str,
        data: str,
        options: ChannelOptions,
        *,
        info: str = "",
        tags: dict[str, str] | None = None,
        key: str = "",
        delta: bool = False,
        version: int = 0,
        version_epoch: str = "",
        skip_history: bool = False,
    ) -> Position:
        """Publish JSON text `data`; returns the stream's position, (0, "") without history.

        When this returns, the messages to subscribers are queued; the event loop writes them.
        """
        if key:
            answered = self.streams.find_key(channel, key)
            if answered is not None:
                return answered
        publication = Publication(
            data=data, info=info, tags=dump(tags) if tags else "", version=version
        )
        position, previous, kept = Position(), None, True
        if options.has_history and not skip_history:
            position, previous, kept = self.streams.keep(
                channel,
                publication,
                size=options.history_size,
                ttl=options.history_ttl,
                meta_ttl=options.history_meta_ttl,
                version_epoch=version_epoch,
            )
        if not kept:
            return position
        if key:
            self.streams.add_key(channel, key, position)
        unreached = self.hub.fan_out(
            channel,
            publication,
            position.epoch,
            previous,
            delta=delta,
            limit=self.config.queue_max_size,
        )
        if unreached is not None:
            for session in unreached.lost:
                session.end_subscription(channel, UNSUBSCRIBED_INSUFFICIENT)
            for session in unreached.slow:
                session.close(SLOW)
        return position

    def history(
        self,
        channel: str,
        limit: int,
        meta_ttl: float,
        *,
        since: Position | None = None,
        reverse: bool = False,
    ) -> tuple[list[Publication], Position]:
        """Read a stream; raises Failure 112 if `since` belongs to another epoch."""
        if reverse and since is not None and since.offset == 0:
            raise Failure(BAD_REQUEST)
        stream = self.streams.get(channel, meta_ttl)
        if since is not None and since.epoch and since.epoch != stream.epoch:
            raise Failure(UNRECOVERABLE_POSITION)
        return stream.read(limit, since=since, reverse=reverse), stream.position

    def position(self, channel: str, meta_ttl: float) -> Position:
        """Return where a channel's stream ends."""
        return self.streams.get(channel, meta_ttl).position

    def counts(self) -> dict[str, int]:
        """Count clients, users, subscriptions and channels."""
        hub = self.hub
        return {
            "num_clients": len(hub.clients),
            "num_users": len(hub.users),
            "num_subs": sum(len(channel.subscribers) for channel in hub.channels.values()),
            "num_channels": len(hub.channels),
        }


def well_formed(data: str, data_format: str, load: Callable[[str], object]) -> bool:
    """Tell whether a publication's data, "" for none, has the format that its namespace requires.

    The data is known to be JSON; `load` reads it where more has to be known.
    """
    if data_format == "binary":
        return True
    if data_format == "json_object":
        return bool(data) and isinstance(load(data), dict)
    return bool(data)
