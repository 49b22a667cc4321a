"""The element that listens to a channel, and from where in the channel's messages."""

from __future__ import annotations

import asyncio
import logging

from django.utils.html import format_html
from django.utils.safestring import SafeString

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.channels.names import check_name
from instant.exceptions import PublishError
from instant.namespaces import find_namespace
from instant.pages.freshness import is_fresh
from instant.tenancy import current as tenancy

__all__ = ["element"]

logger = logging.getLogger("instant.pages")


def element(channel: str, events: str) -> SafeString:
    """See ``instant.html.source()``."""
    check_name(channel)
    position = _position(channel)
    return format_html(
        '<instant-source channel="{}"{}{}></instant-source>',
        channel,
        format_html(' events="{}"', events) if events else "",
        format_html(' offset="{}" epoch="{}"', *position) if position else "",
    )


def _position(channel: str) -> tuple[int, str] | None:
    """Return from where the page hears the channel; None where nobody can tell."""
    found = find_namespace(channel)
    if found is not None and not found[0].delivery.size:
        return None
    # An event loop, on which templates without queries are rendered, would be held up.
    if _is_on_loop() or not is_fresh():
        return None
    client = get_backend().client()
    if client is None:
        return None
    try:
        [told] = channel_state.positions(client, [tenancy.to_wire(channel)], conf.current().timeout)
    except PublishError as exc:
        told = exc
    if isinstance(told, PublishError):
        logger.debug("%s: the page has no position to go on from: %s", channel, told)
        return None
    return (told["offset"], told["epoch"]) if told["epoch"] else None


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
