"""Who is connected, who reads which channel, and the way of a push to all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from instant.embedded.wire_forms import Form, Push, channel_push

from .filters import Filter
from .streams import Publication

if TYPE_CHECKING:
    from instant.embedded.session.session import Session


class Subscription:
    """One client's place in one channel."""

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
    def choosy(self) -> bool:
        """Tell whether what this reader is sent may differ from what others are."""
        return self.delta or self.filter is not None


class Channel:
    """A channel that has readers."""

    __slots__ = ("choosy", "presence", "readers")

    def __init__(self) -> None:
        self.readers: dict[Session, Subscription] = {}
        # client id → (user, JSON of the client's info)
        self.presence: dict[str, tuple[str, str]] = {}
        # Readers of deltas and readers with filters: those who can't all be sent the same bytes.
        self.choosy = 0


class Hub:
    """The registry of one server; nothing in it outlives its clients."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.clients: dict[str, Session] = {}
        self.users: dict[str, dict[str, Session]] = {}
        self.sessions: dict[str, Session] = {}

    def add(self, session: Session) -> None:
        """Register a connected client."""
        self.clients[session.client] = session
        self.users.setdefault(session.user, {})[session.client] = session
        self.sessions[session.session] = session

    def remove(self, session: Session) -> None:
        """Forget a client."""
        self.clients.pop(session.client, None)
        self.sessions.pop(session.session, None)
        connections = self.users.get(session.user)
        if connections is not None:
            connections.pop(session.client, None)
            if not connections:
                del self.users[session.user]

    def aimed(self, user: str, client: str = "", session: str = "") -> list[Session]:
        """Return a user's connections ("" is all anonymous ones), or those of them aimed at."""
        return [
            found
            for found in self.users.get(user, {}).values()
            if client in {"", found.client} and session in {"", found.session}
        ]

    def subscribe(self, name: str, session: Session, subscription: Subscription) -> None:
        """Make `session` a reader of the channel."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel()
        channel.readers[session] = subscription
        channel.choosy += subscription.choosy

    def unsubscribe(self, name: str, session: Session) -> None:
        """End what `subscribe` began, presence included."""
        channel = self.channels.get(name)
        if channel is None:
            return
        subscription = channel.readers.pop(session, None)
        channel.presence.pop(session.client, None)
        if subscription is not None:
            channel.choosy -= subscription.choosy
        if not channel.readers:
            del self.channels[name]

    def readers(self, name: str) -> int:
        """Count a channel's readers."""
        channel = self.channels.get(name)
        return len(channel.readers) if channel is not None else 0

    def presence(self, name: str) -> dict[str, tuple[str, str]]:
        """Return who is present: client id → (user, JSON of the client's info)."""
        channel = self.channels.get(name)
        return channel.presence if channel is not None else {}

    def presence_json(self, name: str) -> str:
        """Write who is present as the protocol has it."""
        members = ",".join(
            f'"{client}":{info}' for client, (_, info) in self.presence(name).items()
        )
        return f'{{"presence":{{{members}}}}}'

    def presence_counts(self, name: str) -> tuple[int, int]:
        """Count clients and users."""
        present = self.presence(name)
        return len(present), len({user for user, _ in present.values()})

    def tell(self, name: str, what: str, info: str) -> None:
        """Tell readers who asked for it that somebody joined or left."""
        channel = self.channels.get(name)
        if channel is None:
            return
        push = channel_push(name, what, f'{{"info":{info}}}')
        for session, subscription in channel.readers.items():
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
    ) -> Iterable[Session]:
        """Hand a publication to every reader; encoded once per wire form.

        Returns the readers whose position belongs to another epoch: they got nothing and must be
        told so. Everything happens in this one call, so a positioned reader has seen every
        publication since it subscribed, and its epoch is all there is to check.
        """
        channel = self.channels.get(name)
        if channel is None:
            return ()
        push = channel_push(name, "pub", publication.json())
        if channel.choosy or epoch:
            return self._fan_out_checked(name, channel, push, publication, epoch, previous, delta)
        encoded: dict[Form, bytes] = {}
        for session in channel.readers:
            form = session.form
            data = encoded.get(form)
            if data is None:
                data = encoded[form] = push.encoded(form)
            session.send(data)
        return ()

    def _fan_out_checked(
        self,
        name: str,
        channel: Channel,
        push: Push,
        publication: Publication,
        epoch: str,
        previous: Publication | None,
        delta: bool,
    ) -> list[Session]:
        lost: list[Session] = []
        encoded: dict[Form, bytes] = {}
        texts: DeltaPushes | None = None
        tags: Mapping[str, str] | None = None
        for session, subscription in channel.readers.items():
            if epoch and subscription.positioned and subscription.epoch != epoch:
                lost.append(session)
                continue
            if subscription.filter is not None:
                if tags is None:
                    tags = publication.tag_map()
                if not subscription.filter(tags):
                    # It would have nothing to apply the next delta to.
                    subscription.delta_ready = False
                    continue
            form = session.form
            if subscription.delta:
                if texts is None:
                    texts = DeltaPushes(name, publication, previous if delta else None)
                chosen = texts.delta if subscription.delta_ready else texts.full
                subscription.delta_ready = True
                session.send(chosen.encoded(form))
                continue
            data = encoded.get(form)
            if data is None:
                data = encoded[form] = push.encoded(form)
            session.send(data)
        return lost

    def everyone(self) -> Iterator[Session]:
        """Iterate over the connected clients as they are now."""
        return iter(list(self.clients.values()))


class DeltaPushes:
    """One publication for readers of deltas: whole, and as the difference to the one before."""

    __slots__ = ("delta", "full")

    def __init__(self, name: str, publication: Publication, previous: Publication | None) -> None:
        from .delta import patched  # noqa: PLC0415  a channel with deltas is rare

        self.full = channel_push(name, "pub", publication.full_text())
        self.delta = self.full
        if previous is not None and publication.offset:
            self.delta = channel_push(name, "pub", patched(previous, publication))
