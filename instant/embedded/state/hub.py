"""Who is connected, who is subscribed to which channel, and how a push reaches all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

from instant.embedded.errors import Disconnect, Unsubscribe
from instant.embedded.wire_forms import Form, Push, channel_push

from .filters import Filter
from .publication import Publication


class Client(Protocol):
    """A connected client, as far as this module and the broker know it: a session."""

    client: str
    session: str
    user: str
    form: Form
    send: Callable[[bytes], None]

    def push(self, push: Push) -> None:
        """Send a push."""

    def close(self, disconnect: Disconnect) -> None:
        """Close the connection."""

    def end_subscription(self, channel: str, why: Unsubscribe) -> None:
        """End a subscription that can't go on."""


class Subscription:
    """One client's subscription to one channel."""

    __slots__ = (
        "checked_at",
        "client_refresh",
        "delta",
        "delta_ready",
        "emit_join_leave",
        "epoch",
        "expire_at",
        "filter",
        "info",
        "meta_ttl",
        "positioned",
        "push_join_leave",
        "refreshing",
        "server_side",
        "source",
    )

    def __init__(self) -> None:
        self.info = ""
        self.source = ""
        self.server_side = False
        self.client_refresh = False
        self.positioned = False
        self.emit_join_leave = False
        self.push_join_leave = False
        self.delta = False
        self.delta_ready = False
        self.refreshing = False
        self.epoch = ""
        self.expire_at = 0
        self.meta_ttl = 0.0
        self.checked_at = 0.0
        self.filter: Filter | None = None

    @property
    def individual(self) -> bool:
        """Tell whether what this subscriber is sent may differ from what others are sent."""
        return self.delta or self.filter is not None


class Unreached(NamedTuple):
    """The subscribers whom a publication couldn't be sent."""

    # Their position belongs to another epoch.
    lost: Sequence[Client]
    # It is longer than what may wait for them.
    slow: Sequence[Client]


# What wraps a push, and the bytes that a character may have.
_AROUND = 16
_CHARACTER = 4


class Channel:
    """A channel that has subscribers."""

    __slots__ = ("individual", "presence", "subscribers")

    def __init__(self) -> None:
        self.subscribers: dict[Client, Subscription] = {}
        # client id → (user, JSON of the client's info)
        self.presence: dict[str, tuple[str, str]] = {}
        # How many subscribers have deltas or a filter, and so can't all be sent the same bytes.
        self.individual = 0


class Hub:
    """The connected clients of one server, and the channels that they are subscribed to."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.clients: dict[str, Client] = {}
        self.users: dict[str, dict[str, Client]] = {}
        self.sessions: dict[str, Client] = {}

    def add(self, session: Client) -> None:
        """Register a connected client."""
        self.clients[session.client] = session
        self.users.setdefault(session.user, {})[session.client] = session
        self.sessions[session.session] = session

    def remove(self, session: Client) -> None:
        """Forget a client."""
        self.clients.pop(session.client, None)
        self.sessions.pop(session.session, None)
        connections = self.users.get(session.user)
        if connections is not None:
            connections.pop(session.client, None)
            if not connections:
                del self.users[session.user]

    def connections(self, user: str, client: str = "", session: str = "") -> list[Client]:
        """Return the connections of a user, all or one; "" is the user of anonymous ones."""
        return [
            found
            for found in self.users.get(user, {}).values()
            if client in {"", found.client} and session in {"", found.session}
        ]

    def subscribe(self, name: str, session: Client, subscription: Subscription) -> None:
        """Make `session` a subscriber of the channel."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel()
        channel.subscribers[session] = subscription
        channel.individual += subscription.individual

    def unsubscribe(self, name: str, session: Client) -> None:
        """End a subscription, and the presence that goes with it."""
        channel = self.channels.get(name)
        if channel is None:
            return
        subscription = channel.subscribers.pop(session, None)
        channel.presence.pop(session.client, None)
        if subscription is not None:
            channel.individual -= subscription.individual
        if not channel.subscribers:
            del self.channels[name]

    def add_presence(self, name: str, session: Client, info: str) -> None:
        """Show a subscriber in the channel's presence; `info` is JSON."""
        self.channels[name].presence[session.client] = (session.user, info)

    def refresh_presence(self, name: str, session: Client, info: str) -> None:
        """Show newer info of a subscriber, if the channel's presence shows it at all."""
        if session.client in self.presence(name):
            self.add_presence(name, session, info)

    def presence(self, name: str) -> dict[str, tuple[str, str]]:
        """Return who is present: client id → (user, JSON of the client's info)."""
        channel = self.channels.get(name)
        return channel.presence if channel is not None else {}

    def presence_json(self, name: str) -> str:
        """Write who is present, for the client protocol and the HTTP API."""
        members = ",".join(
            f'"{client}":{info}' for client, (_, info) in self.presence(name).items()
        )
        return f'{{"presence":{{{members}}}}}'

    def presence_counts(self, name: str) -> tuple[int, int]:
        """Count clients and users."""
        present = self.presence(name)
        return len(present), len({user for user, _ in present.values()})

    def push_join_leave(self, name: str, what: str, info: str) -> None:
        """Push a "join" or a "leave" to the subscribers who asked for it."""
        channel = self.channels.get(name)
        if channel is None:
            return
        push = channel_push(name, what, f'{{"info":{info}}}')
        for session, subscription in channel.subscribers.items():
            if subscription.push_join_leave:
                session.push(push)

    def fan_out(
        self,
        name: str,
        publication: Publication,
        epoch: str,
        previous: Publication | None,
        *,
        delta: bool,
        limit: int,
    ) -> Unreached | None:
        """Send a publication to every subscriber; it is encoded once per wire form.

        Returns those who were sent nothing and must be told, None if there are none: their position
        belongs to another epoch, or the publication has more bytes than `limit`. This one call
        sends to all, so a subscriber with a position has been sent every publication since it
        subscribed: nothing but the epoch has to be checked.
        """
        channel = self.channels.get(name)
        if channel is None:
            return None
        push = channel_push(name, "pub", publication.json())
        long = (len(push.body) + _AROUND) * _CHARACTER > limit
        if channel.individual or long:
            pushes = Pushes(name, push, publication, previous if delta else None)
            return self._fan_out_checked(channel, pushes, epoch, limit if long else 0)
        lost: list[Client] = []
        encoded: dict[Form, bytes] = {}
        if not epoch:
            for session in channel.subscribers:
                form = session.form
                data = encoded.get(form)
                if data is None:
                    data = encoded[form] = push.encoded(form)
                session.send(data)
            return None
        for session, subscription in channel.subscribers.items():
            if subscription.positioned and subscription.epoch != epoch:
                lost.append(session)
                continue
            form = session.form
            data = encoded.get(form)
            if data is None:
                data = encoded[form] = push.encoded(form)
            session.send(data)
        return Unreached(lost, ()) if lost else None

    def _fan_out_checked(
        self, channel: Channel, pushes: Pushes, epoch: str, limit: int
    ) -> Unreached | None:
        lost: list[Client] = []
        slow: list[Client] = []
        encoded: dict[Form, bytes] = {}
        plain = pushes.plain
        tags: Mapping[str, str] | None = None
        for session, subscription in channel.subscribers.items():
            if epoch and subscription.positioned and subscription.epoch != epoch:
                lost.append(session)
                continue
            if subscription.filter is not None:
                if tags is None:
                    tags = pushes.publication.tag_map()
                if not subscription.filter(tags):
                    # Without this publication it has nothing to apply the next delta to.
                    subscription.delta_ready = False
                    continue
            form = session.form
            push = plain
            if subscription.delta:
                push = pushes.delta if subscription.delta_ready else pushes.full
                subscription.delta_ready = True
            if limit and push.longer_than(limit, form):
                slow.append(session)
                continue
            if push is not plain:
                session.send(push.encoded(form))
                continue
            data = encoded.get(form)
            if data is None:
                data = encoded[form] = plain.encoded(form)
            session.send(data)
        return Unreached(lost, slow) if lost or slow else None


class Pushes:
    """A publication as its subscribers are sent it: plain, or for those who have deltas."""

    def __init__(
        self, name: str, plain: Push, publication: Publication, previous: Publication | None
    ) -> None:
        self._name = name
        self._previous = previous
        self.plain = plain
        self.publication = publication

    @cached_property
    def full(self) -> Push:
        """Return all of it, for who has nothing to apply a difference to."""
        return channel_push(self._name, "pub", self.publication.full_text())

    @cached_property
    def delta(self) -> Push:
        """Return the difference to the previous publication."""
        from .delta import delta_json  # noqa: PLC0415  a channel with deltas is rare

        if self._previous is None or not self.publication.offset:
            return self.full
        return channel_push(self._name, "pub", delta_json(self._previous, self.publication))
