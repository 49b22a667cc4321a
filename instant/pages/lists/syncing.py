"""
Keep a list's keys as the database has them, and tell its readers what has changed.

Whoever has committed a change asks for the keys after the commit, and writes them only if nobody
else has meanwhile: else it asks again. So the newest that was written was asked for after every
commit before it, whichever process did it, and without a lock.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.db import connections, transaction

from instant.exceptions import PublishError
from instant.pages.lists import registry, stored_query
from instant.pages.lists.audience import window
from instant.pages.lists.description import checked
from instant.pages.lists.model import LiveList
from instant.pages.lists.ops import Op, difference
from instant.pages.lists.rendering import rendered
from instant.pages.lists.stored_query import Foreign, Unreadable, unpack
from instant.pages.lists.visibility import viewer_of, visible
from instant.producers import publish
from instant.publishing.batch import batch

__all__ = [
    "EVENT",
    "NAMESPACE",
    "channel_of",
    "publish_all",
    "queryset_of",
    "read_again",
    "refresh",
    "take",
    "tell_reset",
    "with_keys",
]

logger = logging.getLogger("instant.pages")

NAMESPACE = "instant.list"
"""Of the lists' channels."""

EVENT = "instant:list"
"""The event class of what is told."""

Tell = Callable[[LiveList, dict[str, Any]], object]
"""Takes what is to be published on the channel of a list."""

_TRIES = 50
"""How often somebody else may be faster."""

_MOST = 100
"""Changes that one message tells; with more the pages ask for the whole list."""

_LONGEST = 30_000
"""Characters of HTML in a message."""


def channel_of(digest: str) -> str:
    """Return the name of a list's channel."""
    return f"{NAMESPACE}:{digest}"


def queryset_of(row: LiveList) -> Any:
    """Return a list's queryset; raise Unreadable where it isn't of this day."""
    return unpack(row.queryset, row.database)


def publish_all(database: str, told: Sequence[tuple[LiveList, dict[str, Any]]]) -> None:
    """Publish as after one commit: a failure is logged, signalled and told to pages."""
    if not told:
        return
    if connections[registry.own().db].in_atomic_block:  # the versions are rolled back with it
        database = registry.own().db
    with transaction.atomic(using=database, savepoint=False), batch():
        for row, data in told:
            try:
                publish(channel_of(row.digest), data=data, event_class=EVENT, using=database)
            except PublishError:
                logger.exception("%s has changed, and nobody could be told.", row)


def _publish(row: LiveList, data: dict[str, Any]) -> None:
    publish_all(row.database, [(row, data)])


def refresh(row: LiveList, changed: Collection[str] = (), tell: Tell = _publish) -> bool:
    """
    Ask the database for the list's keys, and tell what has changed; ``changed`` are rows' keys.

    Ends a list that can't be asked any more. Tells whether ``row`` is as the database is.
    """
    try:
        for _ in range(_TRIES):
            if take(row, _keys_now(row), changed, tell):
                return True
            if not read_again(row):
                return False
    except (Unreadable, ValueError) as exc:
        logger.warning("%s is followed no longer: %s", row, exc)
        registry.own().filter(pk=row.pk).delete()
        tell(row, {"v": 0, "end": True})  # its pages ask for another one
        return False
    logger.error("%s changes too fast to be told of.", row)
    return False


def _keys_now(row: LiveList) -> list[str]:
    model, keys = stored_query.keys(row.queryset, row.database)
    return checked(keys, model)


def read_again(row: LiveList) -> bool:
    """Read the keys and the version; False where the list is no more."""
    found = registry.own().filter(pk=row.pk).values("version", "keys").first()
    if found is None:
        return False
    row.version, row.keys = found["version"], found["keys"]
    return True


def take(
    row: LiveList,
    keys: Sequence[str],
    changed: Collection[str] = (),
    tell: Tell = _publish,
) -> bool:
    """
    Note the keys as those of the list, and tell what that changes.

    They must have been asked for after ``row`` was read. False where somebody was faster.
    """
    before = json.loads(row.keys)
    ops = difference(before, keys, changed)
    if not ops and row.version:
        return True
    # No version comes twice, also where a list is forgotten and opened again.
    version = row.version + 1 if row.version else time.time_ns() // 1_000_000
    values: dict[str, Any] = {"version": version}
    if keys != before:
        values["keys"] = json.dumps(keys, separators=(",", ":"))
    if not registry.change(row, values):
        return False
    is_new = row.version == 0
    for name, value in values.items():
        setattr(row, name, value)
    if not is_new:
        tell(row, _said(row, ops, changed))
    return True


def with_keys(row: LiveList, keys: Collection[str]) -> Any:
    """Return the queryset of those rows of the list; its columns have the key beside them."""
    queryset = queryset_of(row)
    is_sliced = queryset.query.is_sliced
    queryset.query.clear_limits()
    how = json.loads(row.row)
    if is_sliced:
        keys = set(json.loads(row.keys)).intersection(keys)
    found = queryset.filter(pk__in=list(keys))
    if "columns" in how:
        found = found.values(*dict.fromkeys([*how["columns"], "pk"]))
    return found


def tell_reset(row: LiveList) -> None:
    """Tell the pages of a list that they are to ask for all of it."""
    _publish(row, {"v": row.version, "reset": True})


def _said(row: LiveList, ops: Sequence[Op], changed: Collection[str]) -> dict[str, Any]:
    """Return what the pages of a list are told of its change."""
    data: dict[str, Any] = {"v": row.version, "wait": window(channel_of(row.digest))}
    if len(ops) > _MOST:
        data["reset"] = True
    else:
        data["ops"] = ops
        if row.is_public:
            data |= _shown(row, ops, changed)
    return data


def _shown(row: LiveList, ops: Sequence[Op], changed: Collection[str]) -> dict[str, Any]:
    """Return what is shown of the rows that have changed, which is the same for everybody."""
    wanted = {op["key"] for op in ops if op["op"] in {"enter", "change"} or op["key"] in changed}
    wanted -= {op["key"] for op in ops if op["op"] == "leave"}
    if not wanted:
        return {}
    try:
        how, found = json.loads(row.row), with_keys(row, wanted)
        seen = visible(found.model, row.database, list(found), viewer_of(None, how))
        shown = rendered(how, seen, None)
    except Foreign:
        return {}
    except Exception:
        logger.exception("Rows of %s can't be shown: pages ask for them.", row)
        return {}
    if sum(len(str(one)) for one in shown.values()) > _LONGEST:
        return {}
    return {"rows": shown}
