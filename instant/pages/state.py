"""
The states of channels, each with the position in the channel's messages from which it goes on.

In this order: who may, the position, the state. What is published after the position changes the
state, so that nothing is missed; the state may have some of it already.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypedDict

from django.contrib.auth.models import AnonymousUser
from django.core.serializers.json import DjangoJSONEncoder

from instant import conf, permissions
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.exceptions import PublishError
from instant.namespaces import Namespace, find_namespace
from instant.pages.freshness import is_fresh
from instant.rights import namespace_rules
from instant.tenancy import current as tenancy

__all__ = ["MAX_STATES", "NoServer", "NotFresh", "State", "States", "read_states"]

logger = logging.getLogger("instant.pages")

MAX_STATES = 100
"""Of one page or request."""

_NOWHERE = {"offset": 0, "epoch": ""}
"""The position where no messages are kept."""


class State(TypedDict):
    """The state of one channel; the epoch is ``""`` where the channel's messages aren't kept."""

    data: Any
    offset: int
    epoch: str


class States(NamedTuple):
    """What is known of some channels; names that are in neither are refused, or have no state."""

    found: dict[str, State]
    failed: dict[str, PublishError | None]
    """About these nothing can be told now: the server's error, None where a rule can't say."""


class NoServer(Exception):
    """Publications reach no message server here, so no position is known."""


class NotFresh(Exception):
    """An open transaction may show what was there before the position."""


_Channels = dict[type[Namespace], dict[str, dict[str, Any]]]
"""Names and arguments of channels by their namespace."""


def read_states(
    user: Any,
    names: Iterable[str],
    *,
    needs_server: bool = True,
    may_be_private: Callable[[], bool] = lambda: True,
) -> States:
    """
    Return the states of those channels to which the user (None: nobody) may subscribe.

    One request to the server for all positions, within ``TIMEOUT``; what it raises is raised.
    Where there is none, as in tests, ``needs_server`` decides between NoServer and states without
    a position. ``may_be_private`` is asked before anything is read that depends on the user. Raises
    NotFresh, and whatever a namespace's snapshot() raises.
    """
    user = AnonymousUser() if user is None else user
    allowed, failed = _allowed(user, names)
    if not all(map(_is_public, allowed)) and not may_be_private():
        allowed = {cls: channels for cls, channels in allowed.items() if _is_public(cls)}
    if not allowed:
        return States({}, failed)
    if not is_fresh():
        raise NotFresh
    positions = _positions(allowed, needs_server=needs_server)
    failed |= {name: one for name, one in positions.items() if isinstance(one, PublishError)}
    found: dict[str, State] = {}
    for cls, channels in allowed.items():
        known = {name: kwargs for name, kwargs in channels.items() if name not in failed}
        asking = AnonymousUser() if _is_public(cls) else user
        states = namespace_rules.snapshots(cls, asking, list(known.values()))
        for name, data in zip(known, states, strict=True):
            position = positions[name]
            found[name] = State(
                data=_checked(data), offset=position["offset"], epoch=position["epoch"]
            )
    return States(found, failed)


def _allowed(user: Any, names: Iterable[str]) -> tuple[_Channels, dict[str, PublishError | None]]:
    """Return the channels whose state the user may have, and those of which nobody can say."""
    by_namespace: _Channels = {}
    for name in dict.fromkeys(names):
        found = find_namespace(name)
        if found is not None and found[0].has_snapshot():
            by_namespace.setdefault(found[0], {})[name] = found[1]
    allowed: _Channels = {}
    failed: dict[str, PublishError | None] = {}
    if by_namespace and not conf.current().anonymous and not permissions.is_known(user):
        return {}, {}
    for cls, channels in by_namespace.items():
        try:
            may = permissions.may_have_state(cls, user, channels)
        except namespace_rules.UNDECIDED:
            logger.exception("%s can't decide now: the page asks again.", cls.__qualname__)
            failed.update(dict.fromkeys(channels))
        else:
            if may:
                allowed[cls] = {name: channels[name] for name in channels if name in may}
    return allowed, failed


def _is_public(cls: type[Namespace]) -> bool:
    return cls.snapshot_is_public and cls.authorize == "open" and conf.current().anonymous


def _positions(allowed: _Channels, *, needs_server: bool) -> dict[str, Any]:
    """Return the position of each channel, or the PublishError that it failed with."""
    kept = [name for cls, channels in allowed.items() if cls.delivery.size for name in channels]
    positions: dict[str, Any] = {
        name: dict(_NOWHERE) for channels in allowed.values() for name in channels
    }
    client = get_backend().client() if kept else None
    if client is not None:
        wire_names = [tenancy.to_wire(name) for name in kept]
        found = channel_state.positions(client, wire_names, conf.current().timeout)
        positions.update(zip(kept, found, strict=True))
    elif kept and needs_server:
        raise NoServer
    return positions


def _checked(data: Any) -> Any:
    # NaN is not JSON: it would be sent, and the page's script fail.
    json.dumps(data, cls=DjangoJSONEncoder, allow_nan=False)
    return data
