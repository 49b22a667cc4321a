"""A list as a page begins with it: its rows, and from where the page's script goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.http import HttpRequest

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.exceptions import PublishError, ServerNotAsked
from instant.pages import reference
from instant.pages.freshness import is_fresh
from instant.pages.lists import registry, syncing
from instant.pages.lists.description import Description, checked, describe
from instant.pages.lists.model import LiveList
from instant.pages.lists.opening import NoRoom, opened
from instant.pages.lists.rendering import rendered
from instant.pages.lists.visibility import key_of, viewer_of, visible
from instant.pages.state import State
from instant.permissions import is_known
from instant.rights.primary import reading_from_primary
from instant.rights.tokens import subject
from instant.tenancy import current as tenancy

__all__ = ["KIND", "Shown", "plain", "show"]

logger = logging.getLogger("instant.pages")

KIND = "list"
"""Of references to lists."""

_TRIES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a page begins with."""

    rows: Mapping[str, Any]
    """By key, in order; those that the user may see."""
    channel: str = ""
    """Where it is told what changes; ``""`` where nothing ever can."""
    reference: str = ""
    """What its script sends to have rows."""
    state: State | None = None
    """The version of these rows, and the position from which changes come; None: not known."""


def plain(queryset: Any, how: Mapping[str, Any], request: HttpRequest | None) -> dict[str, Any]:
    """Return the rows for what has no viewer and follows nothing, as a mail."""
    return rendered(how, queryset, request)


def show(
    queryset: Any,
    how: Mapping[str, Any],
    *,
    user: Any,
    request: HttpRequest | None,
    tells_state: bool = True,
) -> Shown:
    """
    Return the rows for a user, who may follow the list from now on.

    One request to the server for the position, before the database is asked. Raises ValueError
    for what can't be followed.
    """
    try:
        with reading_from_primary():
            description = describe(queryset, how)
            viewer = viewer_of(user, description.row)
            if not conf.current().anonymous and not is_known(user):
                return Shown(_unfollowed(description, viewer, request))
            name = syncing.channel_of(description.digest)
            # First: what is published after it is newer than all that is read here.
            position = _position(name) if tells_state else None
            row, is_new = opened(description)
            sub = subject(user)
            if not row.is_public:
                registry.let(row, sub)
            objects, keys, version = _read(description, row, is_new=is_new)
            seen = visible(queryset.model, row.database, objects, viewer)
            shown = rendered(description.row, seen, request)
    except NoRoom:
        return Shown(_unfollowed(description, viewer, request))
    except EmptyResultSet:  # as none(): the database is never asked, and nothing can enter
        return Shown({})
    what = {"l": row.digest, **({} if row.is_public else {"u": sub})}
    state = None
    if position is not None and version:
        data: dict[str, Any] = {"page": True, "v": version}
        if len(shown) != len(keys):
            data["keys"] = keys
        state = State(data=data, offset=position["offset"], epoch=position["epoch"])
    return Shown(shown, name, reference.sign(KIND, what), state)


def _unfollowed(
    description: Description, viewer: Any, request: HttpRequest | None
) -> dict[str, Any]:
    """Return the rows for a page that can't follow them."""
    objects = list(_selected(description))
    seen = visible(description.queryset.model, description.database, objects, viewer)
    return rendered(description.row, seen, request)


def _selected(description: Description) -> Any:
    """Return the queryset; of columns with the key beside them."""
    queryset = description.queryset.using(description.database)
    if "columns" in description.row:
        queryset = queryset.values(*dict.fromkeys([*description.row["columns"], "pk"]))
    return queryset


def _read(
    description: Description, row: LiveList, *, is_new: bool
) -> tuple[list[Any], list[str], int]:
    """Return the objects, their keys, and which version of the list that is; 0: none for sure."""
    queryset = _selected(description)
    for _ in range(_TRIES):
        objects = list(queryset)
        keys = checked([str(key_of(one)) for one in objects], queryset.model)
        if registry.in_transaction(description.database, registry.own().db):
            # What others have committed since it began may be missing, or our own isn't told yet.
            is_same = row.version and json.loads(row.keys) == keys
            return objects, keys, row.version if is_same and not is_new and is_fresh() else 0
        if syncing.take(row, keys):
            return objects, keys, row.version
        if not syncing.read_again(row):
            break
    return objects, keys, 0


def _position(name: str) -> dict[str, Any] | None:
    """Return the channel's position; None where nobody can say."""
    client = get_backend().client()
    if client is None:
        return {"offset": 0, "epoch": ""}
    try:
        found = channel_state.positions(client, [tenancy.to_wire(name)], conf.current().timeout)[0]
        if isinstance(found, PublishError):
            raise found
    except PublishError as exc:
        level = logging.DEBUG if isinstance(exc, ServerNotAsked) else logging.ERROR
        logger.log(level, "A list has no position: the message server can't tell: %s", exc)
        return None
    return {"offset": found["offset"], "epoch": found["epoch"]}
