"""How a client becomes a reader of a channel, on terms that are already settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from instant.embedded.errors import BAD_REQUEST, EXPIRED, UNRECOVERABLE_POSITION, Failure
from instant.embedded.json_text import Fields
from instant.embedded.state.filters import check_types, compile_filter
from instant.embedded.state.hub import Subscription

from .recovery import Recovered, recover
from .subscription_options import Terms

if TYPE_CHECKING:
    from .session import Session


@dataclass(slots=True)
class Request:
    """What a client says when it subscribes."""

    channel: str
    token: str = ""
    data: str = ""
    recover: bool = False
    offset: int = 0
    epoch: str = ""
    delta: str = ""
    flag: int = 0
    kind: int = 0
    filter: Fields | None = None
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False

    @classmethod
    def read(cls, fields: Fields, channel: str = "") -> Request:
        """Read a subscribe command; raises Malformed."""
        return cls(
            channel=channel or fields.text("channel"),
            token=fields.text("token"),
            data=fields.raw("data"),
            recover=fields.flag("recover"),
            offset=fields.uint64("offset"),
            epoch=fields.text("epoch"),
            delta=fields.text("delta"),
            flag=fields.int64("flag"),
            kind=fields.int32("type"),
            filter=_filter(fields),
            positioned=fields.flag("positioned"),
            recoverable=fields.flag("recoverable"),
            join_leave=fields.flag("join_leave"),
        )


def _filter(fields: Fields) -> Fields | None:
    found = fields.fields("tf")
    if found is not None:
        check_types(found)
    return found


def admit(session: Session, request: Request, chosen: Terms, *, server_side: bool) -> str:
    """Make the client a reader and return the subscribe result as JSON; raises Failure."""
    broker = session.broker
    now = int(broker.clock.now())
    members: list[str] = []
    if 0 < chosen.expire_at <= now:
        raise Failure(EXPIRED)
    if chosen.expire_at and chosen.client_refresh:
        members.append(f'"expires":true,"ttl":{chosen.expire_at - now}')
    subscription = _subscription(request, chosen, server_side=server_side)
    if chosen.positioning or chosen.recovery:
        found = recover(broker, request, chosen, subscription)
        if found.refused:
            raise Failure(UNRECOVERABLE_POSITION)
        subscription.positioned = True
        subscription.epoch = found.position.epoch
        subscription.checked_at = broker.clock.monotonic()
        subscription.delta_ready = found.recovered
        members += _position_members(chosen, found)
    if chosen.data:
        members.append(f'"data":{chosen.data}')
    if request.recover or (chosen.recovery and chosen.auto_cache):
        members.append('"was_recovering":true')
    if subscription.delta:
        members.append('"delta":true')
    session.subscriptions[request.channel] = subscription
    broker.hub.subscribe(request.channel, session, subscription)
    if chosen.presence:
        info = session.client_info(chosen.info)
        broker.hub.channels[request.channel].presence[session.client] = (session.user, info)
    return "{" + ",".join(members) + "}"


def _subscription(request: Request, chosen: Terms, *, server_side: bool) -> Subscription:
    subscription = Subscription()
    if request.filter is not None:
        if not chosen.tags_filter:
            raise Failure(BAD_REQUEST)
        subscription.filter = compile_filter(request.filter)
    subscription.delta = bool(request.delta) and request.delta in chosen.delta_types
    subscription.source = chosen.source
    subscription.info = chosen.info
    subscription.server_side = server_side
    subscription.client_refresh = chosen.client_refresh
    subscription.expire_at = chosen.expire_at
    subscription.emit_join_leave = chosen.join_leave
    subscription.push_join_leave = chosen.push_join_leave
    subscription.meta_ttl = chosen.meta_ttl
    return subscription


def _position_members(chosen: Terms, found: Recovered) -> list[str]:
    members = []
    if chosen.recovery:
        members.append('"recoverable":true')
    members.append(f'"epoch":"{found.position.epoch}"')
    if found.publications:
        members.append(f'"publications":[{",".join(found.publications)}]')
    if found.recovered:
        members.append('"recovered":true')
    if found.offset:
        members.append(f'"offset":{found.offset}')
    members.append('"positioned":true')
    return members


def announce(session: Session, channel: str) -> None:
    """Tell the channel that a reader came, after the reader itself knows."""
    subscription = session.subscriptions.get(channel)
    if subscription is not None and subscription.emit_join_leave:
        session.broker.hub.push_join_leave(channel, "join", session.client_info(subscription.info))
