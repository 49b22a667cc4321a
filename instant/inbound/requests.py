"""From what is asked to the handler that answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from django.conf import settings

from instant import permissions
from instant.inbound.answers import Refused
from instant.inbound.page_publication import check_event
from instant.inbound.registry import Handler, find_handler, handlers, is_method
from instant.inbound.reserved import is_whisper
from instant.namespaces import find_namespace
from instant.stored import creating

__all__ = ["find_method", "find_moderator"]

logger = logging.getLogger("instant.handlers")


def find_method(method: str, pool: str | None = None) -> Handler:
    """
    Return the handler of a method. Raises Refused (404).

    A pool answers for its own handlers only: what is slow there can't be called elsewhere. None
    stands for whoever is no pool's, and may call all of them.
    """
    # A pattern answers for what could be declared, and for no other text.
    handler = find_handler("rpc", method) if is_method(method) else None
    if handler is None or pool not in {None, handler.pool}:
        if settings.DEBUG:
            logger.warning("%s", _why(method, pool, handler))
        raise Refused(404, "there is no such method")
    return handler


def _why(method: str, pool: str | None, handler: Handler | None) -> str:
    """Say to the developer why there is no such method."""
    if handler is not None:
        if not handler.pool:
            return (
                f"{method!r} was called in the pool {pool!r}, and belongs to none: call {method!r}."
            )
        name = f"{handler.pool}:{method}"
        return f"{method!r} was called, and belongs to the pool {handler.pool!r}: call {name!r}."
    near = get_close_matches(method, [known.name for known in handlers("rpc")], 1)
    return f"{method!r} was called, and no handler has that name." + (
        f" There is {near[0]!r}." if near else " “manage.py handlers” lists those that were found."
    )


def find_moderator(user: Any, channel: str, data: Any) -> tuple[Handler | None, Mapping[str, Any]]:
    """
    Return the handler of what a user publishes, where there is one, and the channel's arguments.

    Raises Refused for whoever may not publish, and for what no page publishes. Where the server
    decides that itself, it doesn't ask. A channel that isn't there may be made, see creating.py.
    """
    if not isinstance(data, dict):
        raise Refused(400, "publish a JSON object")
    found = find_namespace(channel)
    if found is not None and found[0].client_publish == "subscribers":
        raise Refused
    if not permissions.ask(user, "publish", channel) and (
        is_whisper(data) or not creating.create(user, channel)
    ):
        raise Refused
    check_event(data)
    return find_handler("publish", channel), found[1] if found is not None else {}
