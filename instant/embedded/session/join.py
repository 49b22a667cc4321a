"""Making a client a subscriber of a channel, once it is known that it may be one."""

from __future__ import annotations

from instant.embedded.errors import BAD_REQUEST, EXPIRED, UNRECOVERABLE_POSITION, Failure
from instant.embedded.state.filters import compile_filter
from instant.embedded.state.hub import Subscription

from .recovery import Recovered, recover
from .session import Session
from .subscribe_request import SubscribeRequest
from .subscription_options import SubscriptionOptions


def join(
    session: Session,
    request: SubscribeRequest,
    options: SubscriptionOptions,
    *,
    server_side: bool,
) -> str:
    """Subscribe the client and return the result as JSON; raises Failure."""
    broker = session.broker
    now = int(broker.clock.now())
    members: list[str] = []
    if 0 < options.expire_at <= now:
        raise Failure(EXPIRED)
    if options.expire_at and options.client_refresh:
        members.append(f'"expires":true,"ttl":{options.expire_at - now}')
    subscription = _subscription(request, options, server_side=server_side)
    if options.positioning or options.recovery:
        found = recover(broker, request, options, subscription)
        if found.refused:
            raise Failure(UNRECOVERABLE_POSITION)
        subscription.positioned = True
        subscription.epoch = found.position.epoch
        subscription.checked_at = broker.clock.monotonic()
        subscription.delta_ready = found.recovered
        members += _position_members(options, found)
    if options.data:
        members.append(f'"data":{options.data}')
    if request.recover or (options.recovery and options.auto_cache):
        members.append('"was_recovering":true')
    if subscription.delta:
        members.append('"delta":true')
    session.subscriptions[request.channel] = subscription
    broker.hub.subscribe(request.channel, session, subscription)
    if options.presence:
        broker.hub.add_presence(request.channel, session, session.client_info(options.info))
    return "{" + ",".join(members) + "}"


def _subscription(
    request: SubscribeRequest, options: SubscriptionOptions, *, server_side: bool
) -> Subscription:
    subscription = Subscription()
    if request.filter is not None:
        if not options.tags_filter:
            raise Failure(BAD_REQUEST)
        subscription.filter = compile_filter(request.filter)
    subscription.delta = bool(request.delta) and request.delta in options.delta_types
    subscription.source = options.source
    subscription.info = options.info
    subscription.server_side = server_side
    subscription.client_refresh = options.client_refresh
    subscription.expire_at = options.expire_at
    subscription.emit_join_leave = options.join_leave
    subscription.push_join_leave = options.push_join_leave
    subscription.meta_ttl = options.meta_ttl
    return subscription


def _position_members(options: SubscriptionOptions, found: Recovered) -> list[str]:
    members = []
    if options.recovery:
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


def announce_join(session: Session, channel: str) -> None:
    """Push a join to the channel; to be called when the client itself has its reply."""
    subscription = session.subscriptions.get(channel)
    if subscription is not None and subscription.emit_join_leave:
        info = session.client_info(subscription.info)
        session.broker.hub.push_join_leave(channel, "join", info)
