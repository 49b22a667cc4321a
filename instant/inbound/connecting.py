"""Handlers where Django signs: what opens a connection, and what subscribes to a channel."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from instant.inbound.answers import Disconnect, Refused
from instant.inbound.call import Call
from instant.inbound.dispatch import run
from instant.inbound.registry import Handler, find_handler, handlers
from instant.inbound.request_transactions import undone_if_it_fails
from instant.inbound.reserved import KEYS, with_tenant
from instant.namespaces import find_namespace
from instant.permissions import is_known
from instant.rights.namespace_rules import UNDECIDED
from instant.tenancy import current as tenancy

__all__ = ["Entry", "enter", "open_connection", "visitors_call"]

logger = logging.getLogger("instant.handlers")

MAX_META = 4096
"""Bytes of a connection's meta as JSON: it is in each token, and in what the server asks."""


def open_connection(call: Call) -> Mapping[str, Any]:
    """
    Ask ``@on_connect``, and ``@on_refresh`` where a token is renewed; return the connection's meta.

    In the order of their declaration; each sees in ``call.meta`` what those before it have
    returned. Raises Refused and Disconnect as they do.
    """
    renews = bool(call.data["refresh"])
    if found := handlers(*(("connect", "refresh") if renews else ("connect",))):
        with undone_if_it_fails():  # a refusal, too; a login before it stays
            _ask(found, call)
    if visitors_call() and not is_known(call.user):
        return with_tenant(call.meta, tenancy.current())
    return call.meta


def _ask(asked: Iterable[Handler], call: Call) -> None:
    for handler in asked:
        returned = run(handler, call)
        if returned is None:
            continue
        if not isinstance(returned, dict):
            raise TypeError(f"{handler.place} returned {type(returned).__name__}, not a dict.")
        if any(str(key).startswith(KEYS) for key in returned):
            raise ValueError(f"{handler.place} returned a key that begins with {KEYS!r}.")
        call.meta = {**call.meta, **returned}
    size = len(json.dumps(call.meta, allow_nan=False)) if call.meta else 0
    if size > MAX_META:
        raise ValueError(
            f"A connection's meta has {size:,} bytes, and {MAX_META:,} are possible: note an id."
        )


def visitors_call() -> bool:
    """Tell whether visitors whom no subject names may call methods on a site with tenants."""
    return tenancy.are_used() and any(handler.anonymous for handler in handlers("rpc"))


@dataclass(frozen=True, slots=True)
class Entry:
    """Whether a channel is entered; if not, why, for developers."""

    answer: Literal["yes", "no", "unknown"]
    why: str = ""


def enter(channel: str, call: Call) -> Entry:
    """
    Ask ``@on_subscribe`` of a channel for which a token is about to be signed.

    ``call`` is that of the request, and is not changed. What the handler returns is lost: a
    token carries no data.
    """
    handler = find_handler("subscribe", channel)
    if handler is None:
        return Entry("yes")
    found = find_namespace(channel)
    try:
        asked = Call(
            user=call.user,
            channel=channel,
            meta=call.meta,
            transport=call.transport,
            headers=call.headers,
            session=call.session if handler.session else None,
            kwargs=found[1] if found is not None else {},
        )
        with undone_if_it_fails():
            run(handler, asked)
    except (Refused, Disconnect) as exc:
        return Entry("no", f"{channel!r} was left out: {handler.place} refused: {exc}.")
    except UNDECIDED:
        logger.exception("%s can't tell now.", handler.place)
        return Entry("unknown")
    except Exception as exc:
        logger.exception("%s raised: refused.", handler.place)
        return Entry("no", f"{channel!r} was left out: {handler.place} raised {exc!r}.")
    return Entry("yes")
