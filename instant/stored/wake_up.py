"""
A channel of each responder that wakes its workers elsewhere, which says only that something waits.

Those who have a worker's token get what they need to listen to it: tokens of a visitor, who may do
nothing else. Nothing is published where no such token is in use.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.contrib.auth.models import AnonymousUser

from instant.exceptions import InstantConfigError, InvalidChannelName, PublishError
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets.channel import wake_up_channel
from instant.producers import publish
from instant.rights.tokens import Signer
from instant.stored.worker_token import own_tokens
from instant.tenancy import current as tenancy

__all__ = ["EVENT", "card", "wake"]

logger = logging.getLogger("instant.tickets")

EVENT = "instant:wake"

_KNOWN_FOR = {True: 30.0, False: 5.0}
"""Seconds for which a process knows whether there are tokens; a worker asks often until then."""

_known: dict[tuple[str, str], tuple[bool, float]] = {}


def card(responder: str) -> dict[str, Any]:
    """Return the channel, and the tokens with which a worker may listen to it."""
    channel = wake_up_channel(responder)
    signer = Signer(AnonymousUser())
    return {
        "channel": tenancy.to_wire(channel),
        "token": signer.connection_token().value,
        "channel_token": signer.channel_token(channel).value,
    }


def wake(queue: str) -> None:
    """Wake the workers elsewhere, where there are tokens for any; raises nothing that is ours."""
    responder = queue.removeprefix(REQUESTS)
    if not _are_there(responder):
        return
    try:
        publish(wake_up_channel(responder), data={}, event_class=EVENT, on_commit=False)
    except (PublishError, InstantConfigError, InvalidChannelName) as exc:
        logger.debug("Workers elsewhere were not woken: %s", exc)


def _are_there(responder: str) -> bool:
    key, now = (tenancy.current(), responder), time.monotonic()
    found, until = _known.get(key, (False, 0.0))
    if now >= until:
        found = own_tokens().filter(responder=responder, revoked_at=None).exists()
        _known[key] = (found, now + _KNOWN_FOR[found])
    return found
