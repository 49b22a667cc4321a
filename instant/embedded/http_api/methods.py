"""What each method of the HTTP API does: requests in, JSON results out; no HTTP."""

from __future__ import annotations

import re
from typing import NamedTuple, cast

from instant.embedded.config.channels import ChannelOptions
from instant.embedded.config.globs import translate
from instant.embedded.errors import (
    API_NOT_FOUND,
    BAD_REQUEST,
    CHANNEL_LIMIT,
    CONNECTION_EXPIRED,
    FORCE_DISCONNECT,
    INTERNAL,
    NOT_AVAILABLE,
    UNSUBSCRIBED_BY_SERVER,
    Disconnect,
    Failure,
    Malformed,
)
from instant.embedded.json_scan import load
from instant.embedded.json_text import Fields, quote
from instant.embedded.session.join import announce_join, join
from instant.embedded.session.refresh import bounded, extend
from instant.embedded.session.session import Session
from instant.embedded.session.subscribe_request import SubscribeRequest
from instant.embedded.session.subscription_options import (
    SubscriptionOptions,
    subscription_options,
)
from instant.embedded.state.broker import VERSION, Broker, well_formed
from instant.embedded.state.publication import Position
from instant.embedded.tokens.grants import read_grant
from instant.embedded.wire_forms import Push, channel_push

# What a push tells of a new subscription. Recovered publications have no place in it.
_PUSHED = ("recoverable", "epoch", "offset", "positioned", "data")


class PublishRequest(NamedTuple):
    """What is to be published; `data` is JSON."""

    data: str
    tags: dict[str, str]
    key: str
    version: int
    version_epoch: str
    delta: bool
    skip_history: bool


class Methods:
    """One method of the API each; they take a request and return their result as JSON.

    They raise Failure for an error reply and Malformed for a request that can't be read.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def _options(self, channel: str) -> ChannelOptions:
        if not channel:
            raise Failure(BAD_REQUEST)
        return self.broker.names.options(channel)

    def publish(self, fields: Fields) -> str:
        """Publish into one channel."""
        return self.publish_to(fields.text("channel"), self.publication(fields))

    @staticmethod
    def _data(fields: Fields) -> str:
        """Return the data to publish, which is JSON."""
        try:
            return fields.json_or_base64("data", "b64data")
        except Malformed:
            if fields.text("b64data"):
                raise Failure(BAD_REQUEST) from None
            raise

    def publication(self, fields: Fields) -> PublishRequest:
        """Read what is to be published, into whichever channels."""
        return PublishRequest(
            self._data(fields),
            fields.text_map("tags"),
            fields.text("idempotency_key"),
            fields.uint64("version"),
            fields.text("version_epoch"),
            fields.flag("delta"),
            fields.flag("skip_history"),
        )

    def publish_to(self, channel: str, asked: PublishRequest) -> str:
        """Publish into a channel."""
        options = self._options(channel)
        if not well_formed(asked.data, options.data_format, load):
            raise Failure(BAD_REQUEST)
        position = self.broker.publish(
            channel,
            asked.data or "null",
            options,
            tags=asked.tags,
            key=asked.key,
            delta=asked.delta or options.delta_publish,
            version=asked.version,
            version_epoch=asked.version_epoch,
            skip_history=asked.skip_history,
        )
        if not position.offset:
            return "{}"
        return f'{{"offset":{position.offset},"epoch":"{position.epoch}"}}'

    def _sessions(self, fields: Fields) -> list[Session]:
        found = self.broker.hub.connections(
            fields.text("user"), fields.text("client"), fields.text("session")
        )
        # Transports register nothing else with the hub, which knows of them only what it needs.
        return cast("list[Session]", found)

    def subscribe(self, fields: Fields) -> str:
        """Subscribe a user's connections to a channel for as long as they last."""
        channel = fields.text("channel")
        options = self._options(channel)
        try:
            granted = read_grant(fields)
        except Malformed:
            if fields.text("b64data") or fields.text("b64info"):
                raise Failure(BAD_REQUEST) from None
            raise
        chosen = subscription_options(options, "api", granted)
        chosen.auto_cache = False
        chosen.expire_at = max(0, fields.int64("expire_at"))
        since = fields.fields("recover_since")
        request = SubscribeRequest(channel)
        if since is not None:
            request.recover = True
            request.offset, request.epoch = since.uint64("offset"), since.text("epoch")
        try:
            for session in self._sessions(fields):
                self._subscribe(session, request, chosen)
        except Failure:
            raise Failure(INTERNAL) from None
        return "{}"

    def _subscribe(
        self, session: Session, request: SubscribeRequest, chosen: SubscriptionOptions
    ) -> None:
        limit = self.broker.config.channel_limit
        if 0 < limit <= len(session.subscriptions):
            session.close(CHANNEL_LIMIT)
            return
        if request.channel in session.subscribing:
            return
        if request.channel in session.subscriptions:
            self.broker.hub.unsubscribe(request.channel, session)
        result = Fields(join(session, request, chosen, server_side=True))
        members = ",".join(f'"{name}":{result.raw(name)}' for name in _PUSHED if result.raw(name))
        session.push(channel_push(request.channel, "subscribe", f"{{{members}}}"))
        announce_join(session, request.channel)

    def unsubscribe(self, fields: Fields) -> str:
        """End a user's subscriptions to a channel."""
        channel = fields.text("channel")
        if channel:
            self._options(channel)
        for session in self._sessions(fields):
            session.unsubscribe(channel, UNSUBSCRIBED_BY_SERVER)
        return "{}"

    def disconnect(self, fields: Fields) -> str:
        """Close a user's connections, but for those on the whitelist."""
        whitelist = fields.texts("whitelist")
        why = FORCE_DISCONNECT
        asked = fields.fields("disconnect")
        if asked is not None:
            why = Disconnect(asked.uint32("code"), asked.text("reason"))
        for session in self._sessions(fields):
            if session.client not in whitelist:
                session.close(why)
        return "{}"

    def refresh(self, fields: Fields) -> str:
        """Set when a user's connections end."""
        now = int(self.broker.clock.now())
        expire_at = bounded(fields.int64("expire_at"), now)
        info, expired = fields.raw_or_nothing("info"), fields.flag("expired")
        for session in self._sessions(fields):
            if expired or 0 < expire_at <= now:
                session.close(CONNECTION_EXPIRED)
            elif expire_at > 0:
                extend(session, expire_at, info)
                session.push(Push(f'{{"refresh":{{"expires":true,"ttl":{expire_at - now}}}}}'))
            else:
                session.expire_at = 0
                session.push(Push('{"refresh":{}}'))
        return "{}"

    def _with_presence(self, fields: Fields) -> str:
        channel = fields.text("channel")
        if not self._options(channel).presence:
            raise Failure(NOT_AVAILABLE)
        return channel

    def presence(self, fields: Fields) -> str:
        """List a channel's clients."""
        return self.broker.hub.presence_json(self._with_presence(fields))

    def presence_stats(self, fields: Fields) -> str:
        """Count a channel's clients and users."""
        clients, users = self.broker.hub.presence_counts(self._with_presence(fields))
        return f'{{"num_clients":{clients},"num_users":{users}}}'

    def _with_history(self, fields: Fields) -> tuple[str, ChannelOptions]:
        channel = fields.text("channel")
        options = self._options(channel)
        if not options.has_history:
            raise Failure(NOT_AVAILABLE)
        return channel, options

    def history(self, fields: Fields) -> str:
        """Read a channel's history; a limit of 0 asks for the position only."""
        limit, reverse, since = (
            fields.int32("limit"),
            fields.flag("reverse"),
            fields.fields("since"),
        )
        channel, options = self._with_history(fields)
        publications, position = self.broker.history(
            channel,
            limit,
            options.history_meta_ttl,
            since=None if since is None else Position(since.uint64("offset"), since.text("epoch")),
            reverse=reverse,
        )
        written = ",".join(publication.api_json() for publication in publications)
        return (
            f'{{"publications":[{written}],"epoch":"{position.epoch}","offset":{position.offset}}}'
        )

    def history_remove(self, fields: Fields) -> str:
        """Drop the publications of a channel; its offsets go on."""
        channel, _ = self._with_history(fields)
        self.broker.streams.remove(channel)
        return "{}"

    def channels(self, fields: Fields) -> str:
        """List the channels that have subscribers: all, or those that match a glob."""
        pattern = fields.text("pattern")
        try:
            matcher = re.compile(translate(pattern), re.DOTALL) if pattern else None
        except ValueError:
            raise Failure(INTERNAL) from None
        found = ",".join(
            f'{quote(name)}:{{"num_clients":{len(channel.subscribers)}}}'
            for name, channel in self.broker.hub.channels.items()
            if matcher is None or matcher.fullmatch(name)
        )
        return f'{{"channels":{{{found}}}}}'

    def info(self, fields: Fields) -> str:  # noqa: ARG002  every method has one shape
        """Describe this server, which is the only node."""
        broker = self.broker
        counts = ",".join(f'"{name}":{value}' for name, value in broker.counts().items())
        uptime = int(broker.clock.monotonic() - broker.started)
        name = quote(broker.config.node_name or "embedded")
        return (
            f'{{"nodes":[{{"uid":"{broker.node}","name":{name},'
            f'"version":"{VERSION} embedded",{counts},"uptime":{uptime}}}]}}'
        )

    def rpc(self, fields: Fields) -> str:
        """Refuse, as Centrifugo does without an extension written in Go."""
        raise Failure(API_NOT_FOUND if fields.text("method") else BAD_REQUEST)
