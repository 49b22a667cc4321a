"""What a subscriber missed, and whether it can be sent all of it."""

from __future__ import annotations

from dataclasses import dataclass

from instant.embedded.errors import Failure
from instant.embedded.state.broker import Broker
from instant.embedded.state.delta import delta_json
from instant.embedded.state.hub import Subscription
from instant.embedded.state.publication import Position, Publication

from .subscribe_request import SubscribeRequest
from .subscription_options import SubscriptionOptions

# A bit of a subscribe request's `flag`: answer 112 rather than subscribe with a gap.
REJECT_UNRECOVERED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The state that a subscription begins with; publications are JSON texts.

    `refused` if the client would rather not subscribe than miss something.
    """

    position: Position
    offset: int
    recovered: bool = False
    refused: bool = False
    publications: tuple[str, ...] = ()


def _is_complete(publications: list[Publication], request: SubscribeRequest, top: Position) -> bool:
    if request.epoch and request.epoch != top.epoch:
        return False
    if not publications:
        return top.offset == request.offset
    return publications[0].offset == request.offset + 1 and publications[-1].offset == top.offset


def _matching(publications: list[Publication], subscription: Subscription) -> list[Publication]:
    matches = subscription.filter
    if matches is None:
        return publications
    return [publication for publication in publications if matches(publication.tag_map())]


def _texts(publications: list[Publication], *, delta: bool) -> tuple[str, ...]:
    if not delta:
        return tuple(publication.json() for publication in publications)
    texts = []
    previous: Publication | None = None
    for publication in publications:
        texts.append(
            publication.full_text() if previous is None else delta_json(previous, publication)
        )
        previous = publication
    return tuple(texts)


def recover(
    broker: Broker,
    request: SubscribeRequest,
    options: SubscriptionOptions,
    subscription: Subscription,
) -> Recovered:
    """Find out what a subscription begins with.

    In stream mode that is everything since the request's position, or nothing; in cache mode the
    newest publication. What the subscription's filter doesn't match is left out. The offset is the
    request's if the subscription was recovered, else the stream's.
    """
    channel = request.channel
    top = broker.position(channel, options.meta_ttl)
    if not options.recovery or not (request.recover or options.auto_cache):
        return Recovered(position=top, offset=top.offset)
    if options.cache:
        limit = 1 if subscription.filter is None else broker.config.recovery_limit or -1
        newest, top = broker.history(channel, limit, options.meta_ttl, reverse=True)
        matching = _matching(newest, subscription)[:1]
        same = 0 < request.offset == top.offset and request.epoch == top.epoch
        recovered = newest[0].offset == top.offset if matching else same
        missed = matching if recovered and not same else []
    else:
        limit = broker.config.recovery_limit or -1
        since = Position(request.offset, request.epoch)
        try:
            missed, top = broker.history(channel, limit, options.meta_ttl, since=since)
        except Failure:
            missed, recovered = [], False
        else:
            recovered = _is_complete(missed, request, top)
            missed = _matching(missed, subscription)
        if not recovered and request.flag & REJECT_UNRECOVERED:
            return Recovered(position=top, offset=top.offset, refused=True)
    if not recovered:
        return Recovered(position=top, offset=top.offset)
    return Recovered(
        position=top,
        offset=request.offset,
        recovered=True,
        publications=_texts(missed, delta=subscription.delta),
    )
