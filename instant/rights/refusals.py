"""Why somebody may not subscribe to a channel, and what to do about it: for developers."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from instant.channels.names import USER_NAMESPACE, check_name
from instant.exceptions import InvalidChannelName
from instant.models import Channel
from instant.namespaces import Namespace, find_namespace, registered
from instant.rights.accounts import is_known
from instant.rights.namespace_rules import rule_name

__all__ = ["Cause", "Refusal", "log_once", "refusals", "without_state"]

logger = logging.getLogger("instant.permissions")

Cause = Literal["name", "missing", "misspelt", "inactive", "login", "level", "rule", "state"]

_MOST_NAMES = 2_000
"""Rows among which a name like the misspelt one is looked for."""

_MOST_LOGGED = 1_000
"""Causes that are remembered as logged; after them nothing more is logged."""

_logged: set[tuple[str, Cause]] = set()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a user may not subscribe to a channel."""

    channel: str
    cause: Cause
    why: str
    """Part of a sentence."""
    remedy: str
    """A sentence."""

    def __str__(self) -> str:
        return f"{self.channel!r} was left out: {self.why}. {self.remedy}"


def refusals(user: Any, names: Iterable[str]) -> Mapping[str, Refusal]:
    """
    Return for each of the names to which the user may not subscribe why that is so.

    It is taken for granted that ``permissions`` refuses them all; no rule is asked again. One
    query for the rows, and one for the names of others where a channel doesn't exist.
    """
    wanted = list(dict.fromkeys(names))
    valid = [name for name in wanted if _problem(name) is None]
    found = Channel.objects.filter(name__in=valid) if valid else ()
    rows = {row.name: row for row in found}
    known: list[str] | None = None
    result: dict[str, Refusal] = {}
    for name in wanted:
        problem = _problem(name)
        refusal = (
            Refusal(name, "name", "no channel can have this name", problem)
            if problem is not None
            else _in_namespace(user, name, rows) or _of_row(user, name, rows)
        )
        if refusal is None:
            known = _names() if known is None else known
            refusal = _missing(name, known)
        result[name] = refusal
    return result


def without_state(names: Iterable[str]) -> Mapping[str, Refusal]:
    """Return for each of the names that has no state, whoever asks, why that is so."""
    result: dict[str, Refusal] = {}
    for name in names:
        found = find_namespace(name)
        if found is None:
            why, remedy = "a channel of no namespace has no state", "Declare one in a realtime.py."
        elif found[0].has_snapshot():
            continue
        else:
            why = f"{found[0].__qualname__} has no state"
            remedy = f"Write {_place(found[0])}.snapshot(user, …)."
        result[name] = Refusal(name, "state", why, remedy)
    return result


def log_once(refused: Iterable[Refusal]) -> None:
    """Log each cause for each channel once in the life of the process, as a warning."""
    for refusal in refused:
        key = (refusal.channel, refusal.cause)
        if key not in _logged and len(_logged) < _MOST_LOGGED:
            _logged.add(key)
            logger.warning("%s", refusal)


def _problem(name: str) -> str | None:
    try:
        check_name(name)
    except InvalidChannelName as exc:
        return str(exc)
    return None


def _in_namespace(user: Any, name: str, rows: Mapping[str, Channel]) -> Refusal | None:
    """Return why the users' own channels, or the rule of a namespace, refuse."""
    namespace, colon, _rest = name.partition(":")
    if colon and namespace == USER_NAMESPACE:
        why = "it is the channel of that user alone"
        if is_known(user):
            return Refusal(name, "rule", why, f"This is user {user.pk}: name {_own(user)!r}.")
        return Refusal(name, "login", why, "Log in as that user; nobody is logged in.")
    found = find_namespace(name)
    if found is not None:
        return None if found[0].rows and name in rows else _by_rule(user, name, found[0])
    declared = {cls.name: cls for cls in registered() if isinstance(getattr(cls, "name", 0), str)}
    if not colon or namespace not in declared or name in rows:
        return None
    cls = declared[namespace]
    pattern = getattr(cls, "pattern", None)
    if pattern is None:
        return None
    return Refusal(
        name,
        "missing",
        f"{cls.__qualname__} has no such channel, its pattern is {pattern!r}",
        f"Build the name with {cls.__qualname__}.channel(…).",
    )


def _by_rule(user: Any, name: str, cls: type[Namespace]) -> Refusal:
    rule = rule_name(cls, "subscribe")
    if not cls.decides("subscribe"):
        why = "there is no such channel" if cls.rows else f"{rule} refuses"
        return Refusal(name, "rule", why, f"Write {_place(cls)}.can_subscribe().")
    who = f"user {user.pk}" if is_known(user) else "a visitor who isn't logged in"
    remedy = f"It is in {cls.__module__}, and was asked about {who}."
    return Refusal(name, "rule", f"{rule} refuses", remedy)


def _of_row(user: Any, name: str, rows: Mapping[str, Channel]) -> Refusal | None:
    row = rows.get(name)
    if row is None:
        return None
    if not row.is_active:
        return Refusal(name, "inactive", "it is not active", "Tick “active” in the admin.")
    why = f"level “{row.get_level_display()}”"
    if not is_known(user):
        return Refusal(name, "login", why, "Log in; nobody is logged in.")
    remedies = {
        Channel.Level.GROUPS: f"Add user {user.pk} to one of its groups or to its members.",
        Channel.Level.STAFF: f"User {user.pk} is not staff: change the level, or the user.",
        Channel.Level.SUPERUSER: f"User {user.pk} is no superuser: change the level, or the user.",
    }
    remedy = remedies.get(Channel.Level(row.level), "Its name is not one that a row may have.")
    return Refusal(name, "level", why, remedy)


def _missing(name: str, known: list[str]) -> Refusal:
    near = _nearest(name, known)
    why = "there is no such channel"
    if near is not None:
        return Refusal(name, "misspelt", f"{why}; there is {near!r}", "Correct the name.")
    remedy = "Add it in the admin, or declare its namespace in an app's realtime.py."
    return Refusal(name, "missing", why, remedy)


def _nearest(name: str, known: list[str]) -> str | None:
    # “$” makes a name private, and is forgotten more often than misspelt.
    for other in (f"${name}", name.removeprefix("$")):
        if other != name and other in known:
            return other
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return near[0]
    namespace, colon, rest = name.partition(":")
    declared = [cls.name for cls in registered() if isinstance(getattr(cls, "name", 0), str)]
    near = difflib.get_close_matches(namespace, [*declared, USER_NAMESPACE], n=1) if colon else []
    return f"{near[0]}:{rest}" if near else None


def _names() -> list[str]:
    return list(Channel.objects.order_by("name").values_list("name", flat=True)[:_MOST_NAMES])


def _own(user: Any) -> str:
    return f"{USER_NAMESPACE}:{user.pk}"


def _place(cls: type[Namespace]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
