"""What a subscriber missed, and whether it can be made good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from instant.embedded.errors import Failure
from instant.embedded.state.delta import delta_json
from instant.embedded.state.hub import Subscription
from instant.embedded.state.publication import Position, Publication

from .subscription_options import Terms

if TYPE_CHECKING:
    from instant.embedded.state.broker import Broker

    from .join import Request

# A bit of a subscribe request's `flag`: answer 112 rather than subscribe with a gap.
REJECT_UNRECOVERED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The state a subscription begins with; publications are JSON texts."""

    position: Position
    offset: int
    recovered: bool = False
    refused: bool = False
    publications: tuple[str, ...] = ()


def _continuous(publications: list[Publication], request: Request, top: Position) -> bool:
    if request.epoch and request.epoch != top.epoch:
        return False
    if not publications:
        return top.offset == request.offset
    return publications[0].offset == request.offset + 1 and publications[-1].offset == top.offset


def _passing(publications: list[Publication], subscription: Subscription) -> list[Publication]:
    passes = subscription.filter
    if passes is None:
        return publications
    return [publication for publication in publications if passes(publication.tag_map())]


def _written(publications: list[Publication], *, delta: bool) -> tuple[str, ...]:
    if not delta:
        return tuple(publication.json() for publication in publications)
    written = []
    previous: Publication | None = None
    for publication in publications:
        written.append(
            publication.full_text() if previous is None else delta_json(previous, publication)
        )
        previous = publication
    return tuple(written)


def recover(
    broker: Broker, request: Request, chosen: Terms, subscription: Subscription
) -> Recovered:
    """Find out what a subscription begins with.

    In stream mode everything since the request's position or nothing; in cache mode the newest
    publication; less what the subscription's filter keeps back. A recovered subscription is told
    its own offset again, any other the stream's.
    """
    channel = request.channel
    top = broker.position(channel, chosen.meta_ttl)
    if not chosen.recovery or not (request.recover or chosen.auto_cache):
        return Recovered(position=top, offset=top.offset)
    if chosen.cache:
        limit = 1 if subscription.filter is None else broker.config.recovery_limit or -1
        newest, top = broker.history(channel, limit, chosen.meta_ttl, reverse=True)
        passing = _passing(newest, subscription)[:1]
        same = 0 < request.offset == top.offset and request.epoch == top.epoch
        recovered = newest[0].offset == top.offset if passing else same
        missed = passing if recovered and not same else []
    else:
        limit = broker.config.recovery_limit or -1
        since = Position(request.offset, request.epoch)
        try:
            missed, top = broker.history(channel, limit, chosen.meta_ttl, since=since)
        except Failure:
            missed, recovered = [], False
        else:
            recovered = _continuous(missed, request, top)
            missed = _passing(missed, subscription)
        if not recovered and request.flag & REJECT_UNRECOVERED:
            return Recovered(position=top, offset=top.offset, refused=True)
    if not recovered:
        return Recovered(position=top, offset=top.offset)
    return Recovered(
        position=top,
        offset=request.offset,
        recovered=True,
        publications=_written(missed, delta=subscription.delta),
    )
