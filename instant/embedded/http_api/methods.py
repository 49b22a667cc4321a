"""The HTTP API's methods: requests in, JSON results out; no HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import cast

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
    ClientError,
    Disconnect,
    Failure,
    Malformed,
)
from instant.embedded.json_text import Fields, elements, load, quote
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
from instant.embedded.wire_forms import Push, channel_push, error_body

# Publications between two looks at other clients: one long request doesn't fill every queue.
BREATH = 32

# Methods of subscription types that this server has not.
FOREIGN = frozenset(
    (
        "map_clear",
        "map_publish",
        "map_read_state",
        "map_read_stream",
        "map_remove",
        "map_stats",
        "shared_poll_publish",
    )
)

# What a pushed subscription tells of itself; publications it recovered are not among it.
_PUSHED = ("recoverable", "epoch", "offset", "positioned", "data")

Method = Callable[[Fields], str]


def error_reply(error: ClientError) -> str:
    """Write a failed method's reply; the API's errors have no `temporary`."""
    return f'{{"error":{error_body(ClientError(error.code, error.message))}}}'


class Api:
    """The methods by name; each takes a request and returns its result as JSON.

    They raise Failure for an error reply and Malformed for a request that can't be read.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.methods: dict[str, Method] = {
            "publish": self.publish,
            "subscribe": self.subscribe,
            "unsubscribe": self.unsubscribe,
            "disconnect": self.disconnect,
            "refresh": self.refresh,
            "presence": self.presence,
            "presence_stats": self.presence_stats,
            "history": self.history,
            "history_remove": self.history_remove,
            "channels": self.channels,
            "info": self.info,
            "rpc": self.rpc,
        }

    def knows(self, method: str) -> bool:
        """Tell whether the API has such a method, this server's or not."""
        return method in self.methods or method in FOREIGN or method == "broadcast"

    async def call(self, method: str, fields: Fields) -> str:
        """Call a method and return its result; raises Failure or Malformed."""
        if method == "broadcast":
            return await self.broadcast(fields)
        if method in FOREIGN:
            # What the server itself says of a channel that has no such type.
            raise Failure(BAD_REQUEST)
        return self.methods[method](fields)

    async def batch(self, fields: Fields) -> str:
        """Call several methods; one after the other also where `parallel` allows more."""
        fields.flag("parallel")
        replies = []
        commands = elements(fields.raw_or_nothing("commands") or "[]")
        for at, text in enumerate(commands, 1):
            replies.append(await self._command(text))
            if at % BREATH == 0:
                await asyncio.sleep(0)
        return f'{{"replies":[{",".join(replies)}]}}' if replies else "{}"

    async def _command(self, text: str) -> str:
        if text == "null":
            return error_reply(BAD_REQUEST)
        command = Fields(text)
        for method in (*self.methods, "broadcast", *FOREIGN):
            fields = command.fields(method)
            if fields is None:
                continue
            try:
                return f'{{"{method}":{await self.call(method, fields)}}}'
            except Failure as exc:
                return error_reply(exc.error)
        return error_reply(API_NOT_FOUND)

    def _options(self, channel: str) -> ChannelOptions:
        if not channel:
            raise Failure(BAD_REQUEST)
        return self.broker.names.options(channel)

    def publish(self, fields: Fields) -> str:
        """Publish into one channel."""
        return self._publish(fields.text("channel"), fields, self._data(fields))

    @staticmethod
    def _data(fields: Fields) -> str:
        try:
            return fields.json_or_base64("data", "b64data") or fields.raw("data")
        except Malformed:
            if fields.text("b64data"):
                raise Failure(BAD_REQUEST) from None
            raise

    def _publish(self, channel: str, fields: Fields, data: str) -> str:
        tags, key = fields.text_map("tags"), fields.text("idempotency_key")
        version, version_epoch = fields.uint64("version"), fields.text("version_epoch")
        delta, skip_history = fields.flag("delta"), fields.flag("skip_history")
        options = self._options(channel)
        if not well_formed(data, options.data_format, load):
            raise Failure(BAD_REQUEST)
        position = self.broker.publish(
            channel,
            data or "null",
            options,
            tags=tags,
            key=key,
            delta=delta or options.delta_publish,
            version=version,
            version_epoch=version_epoch,
            skip_history=skip_history,
        )
        if not position.offset:
            return "{}"
        return f'{{"offset":{position.offset},"epoch":"{position.epoch}"}}'

    async def broadcast(self, fields: Fields) -> str:
        """Publish the same data into several channels; each has a reply of its own."""
        channels = fields.texts("channels")
        if not channels:
            raise Failure(BAD_REQUEST)
        data = self._data(fields)
        replies = []
        for at, channel in enumerate(channels, 1):
            try:
                replies.append(f'{{"result":{self._publish(channel, fields, data)}}}')
            except Failure as exc:
                replies.append(error_reply(exc.error))
            if at % BREATH == 0:
                await asyncio.sleep(0)
        return f'{{"responses":[{",".join(replies)}]}}'

    def _sessions(self, fields: Fields) -> list[Session]:
        found = self.broker.hub.connections(
            fields.text("user"), fields.text("client"), fields.text("session")
        )
        # Transports register nothing else with the hub, which knows of them only what it needs.
        return cast("list[Session]", found)

    def subscribe(self, fields: Fields) -> str:
        """Make a user's connections read a channel, until they end."""
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
        """End a user's connections, except those on the whitelist."""
        spared = fields.texts("whitelist")
        why = FORCE_DISCONNECT
        asked = fields.fields("disconnect")
        if asked is not None:
            why = Disconnect(asked.uint32("code"), asked.text("reason"))
        for session in self._sessions(fields):
            if session.client not in spared:
                session.close(why)
        return "{}"

    def refresh(self, fields: Fields) -> str:
        """Give a user's connections another end."""
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

    def _present(self, fields: Fields) -> str:
        channel = fields.text("channel")
        if not self._options(channel).presence:
            raise Failure(NOT_AVAILABLE)
        return channel

    def presence(self, fields: Fields) -> str:
        """List a channel's clients."""
        return self.broker.hub.presence_json(self._present(fields))

    def presence_stats(self, fields: Fields) -> str:
        """Count a channel's clients and users."""
        clients, users = self.broker.hub.presence_counts(self._present(fields))
        return f'{{"num_clients":{clients},"num_users":{users}}}'

    def _kept(self, fields: Fields) -> tuple[str, ChannelOptions]:
        channel = fields.text("channel")
        options = self._options(channel)
        if not options.has_history:
            raise Failure(NOT_AVAILABLE)
        return channel, options

    def history(self, fields: Fields) -> str:
        """Read a channel's history; a limit of 0 asks for the position alone."""
        limit, reverse, since = (
            fields.int32("limit"),
            fields.flag("reverse"),
            fields.fields("since"),
        )
        channel, options = self._kept(fields)
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
        """Forget a channel's publications; its offsets go on."""
        channel, _ = self._kept(fields)
        self.broker.streams.remove(channel)
        return "{}"

    def channels(self, fields: Fields) -> str:
        """List the channels that have readers, all or those a glob matches."""
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
        """Describe this server, the only node there is."""
        broker = self.broker
        counts = ",".join(f'"{name}":{value}' for name, value in broker.counts().items())
        uptime = int(broker.clock.monotonic() - broker.started)
        name = quote(broker.config.node_name or "embedded")
        return (
            f'{{"nodes":[{{"uid":"{broker.node}","name":{name},'
            f'"version":"{VERSION} embedded",{counts},"uptime":{uptime}}}]}}'
        )

    def rpc(self, fields: Fields) -> str:
        """Refuse: only extensions written in Go have methods here."""
        raise Failure(API_NOT_FOUND if fields.text("method") else BAD_REQUEST)
