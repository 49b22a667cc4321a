"""What ``channels`` prints: which channels there are, and what one person may do, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet

from instant import permissions
from instant.channels.declared import LISTS, DeclaredChannel, declared_channels
from instant.channels.names import USER_NAMESPACE
from instant.deliveries import Delivery
from instant.models import Channel
from instant.namespaces import METHODS, Namespace, find_namespace, registered
from instant.rights import objects
from instant.rights.declared_rows import differences
from instant.rights.namespace_rules import rule_name
from instant.rights.refusals import refusals

__all__ = ["Kind", "Reason", "kinds", "reasons"]


KEPT = "Recoverable, 100 messages, 300 s"
"""What the server keeps of channels that no namespace of the project's declares."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the catalogue."""

    pattern: str
    rule: str
    """Who may subscribe."""
    rights: str
    """Who may do more."""
    delivery: str
    place: str
    """Where it is declared."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What one person may do on a channel, or on those of a pattern, and why."""

    channel: str
    may: str
    why: str


ROWS = 100
"""How many rows are named one by one; of more the declared ones, and how many others there are."""


def kinds(*, all_rows: bool = False) -> Iterator[Kind]:
    """Yield the users' own channels, the rows, and the declared namespaces."""
    yield Kind(f"{USER_NAMESPACE}:<pk>", "that user", "presence, history", KEPT, "built in")
    declared = {one.name: one for one in declared_channels()}
    if all_rows or Channel.objects.count() <= ROWS:
        named = Channel.objects.order_by("name")
    else:
        yield from _counted(Channel.objects.exclude(name__in=declared))
        named = Channel.objects.filter(name__in=declared).order_by("name")
    for row in named.prefetch_related(*LISTS).iterator(chunk_size=500):
        yield _row(row, declared.pop(row.name, None))
    for one in declared.values():
        label = Channel.Level(one.columns["level"]).label
        yield Kind(one.name, f"level “{label}”, not there: run migrate", "", "", one.place)
    for cls in registered():
        delivery = _delivery(cls.delivery)
        yield Kind(_pattern(cls), rule_name(cls, "subscribe"), _rights(cls), delivery, _place(cls))


def _row(row: Channel, declared: DeclaredChannel | None) -> Kind:
    rule = f"level “{row.get_level_display()}”"
    if row.level == Channel.Level.GROUPS:
        names = [group.name for group in row.groups.all()]
        rule += f": {', '.join(names)}" if names else ""
    if not row.is_active:
        rule += ", inactive"
    if declared is not None and (wrong := list(differences(row, declared))):
        rule += f"; {' and '.join(wrong)} not as declared: run migrate"
    stored = row.effective_store
    delivery = f"{KEPT}, stored: {stored.rule}" if stored.stores else KEPT
    place = "the admin" if declared is None else declared.place
    return Kind(row.name, rule, _row_rights(vars(row)), delivery, place)


def _counted(others: QuerySet[Channel]) -> Iterator[Kind]:
    levels = ("level", "publish_level", "presence_level")
    rows = others.order_by(*levels).values(*levels)
    for row in rows.annotate(all=Count("pk"), active=Count("pk", filter=Q(is_active=True))):
        inactive = row["all"] - row["active"]
        more = f", {inactive} inactive" if inactive else ""
        label = Channel.Level(row["level"]).label
        count = f"{row['active']} {'row' if row['active'] == 1 else 'rows'}"
        yield Kind(f"{count}{more}", f"level “{label}”", _row_rights(row), KEPT, "the admin")


def reasons(user: Any, names: Sequence[str] = ()) -> Iterator[Reason]:
    """
    Yield what the user may do, and why.

    On the channels that are named; without names on the user's own channel and on each row
    that the user may subscribe to, and for each namespace which rules would be asked.
    """
    if names:
        yield from _asked(user, names)
        return
    after: str | None = ""
    while after is not None:
        page, after = permissions.grants_after(user, after, 500)
        lists = _lists(user, [grant.name for grant in page])
        for grant in page:
            yield Reason(grant.name, _actions(grant), _why(grant, lists))
    for cls in registered():
        yield Reason(_pattern(cls), "asks", f"{rule_name(cls, 'subscribe')}; {_rights(cls)}")


def _asked(user: Any, names: Sequence[str]) -> Iterator[Reason]:
    granted = {grant.name: grant for grant in permissions.grants(user, names)}
    refused = refusals(user, [name for name in names if name not in granted])
    lists = _lists(user, names)
    for name in names:
        grant = granted.get(name)
        found = find_namespace(name)
        if grant is None:
            publishes = found is None and permissions.may(user, "publish", name)
            yield Reason(name, "publish" if publishes else "nothing", refused[name].why)
        elif grant.level == "namespace" and found is not None:
            yield Reason(name, _actions(grant), f"{rule_name(found[0], 'subscribe')} allows")
        else:
            yield Reason(name, _actions(grant), _why(grant, lists))


def _actions(grant: permissions.Grant) -> str:
    return ", ".join(action for action in METHODS if action in ("subscribe", *grant.rights))


def _why(grant: permissions.Grant, lists: Mapping[str, list[str]]) -> str:
    if grant.level == "user":
        return "the user's own"
    by = f": {', '.join(lists[grant.name])}" if grant.name in lists else ""
    return f"level “{Channel.Level(grant.level).label}”{by}"


def _lists(user: Any, names: Sequence[str]) -> Mapping[str, list[str]]:
    """Return by which groups, or as member, the user is in channels of the level “Groups”."""
    found: dict[str, list[str]] = {}
    if user.is_anonymous:
        return found
    rows = Channel.objects.filter(name__in=names, level=Channel.Level.GROUPS).order_by()
    for name in rows.filter(members=user).values_list("name", flat=True):
        found.setdefault(name, []).append("listed as member")
    if hasattr(user, "groups"):
        by_group = rows.filter(groups__in=user.groups.all()).values_list("name", "groups__name")
        mine = set(user.groups.values_list("name", flat=True))
        for name, group in by_group.order_by("groups__name"):
            if group in mine:
                found.setdefault(name, []).append(f"in the group {group}")
    for keys in objects.keys(user, "subscribe"):
        held = Channel.objects.filter(name__in=names, pk__in=keys).order_by()
        for name in held.values_list("name", flat=True):
            found.setdefault(name, []).append("by object permission")
    return found


def _row_rights(row: Mapping[str, Any]) -> str:
    rights = []
    if row["publish_level"] != "nobody":
        rights.append(f"publish: {Channel.PublishLevel(row['publish_level']).label}")
    if row["presence_level"] != "nobody":
        rights.append(f"presence: {Channel.PresenceLevel(row['presence_level']).label}")
    return ", ".join([*rights, "history: subscribers"])


def _rights(cls: type[Namespace]) -> str:
    found = []
    for action in METHODS:
        who = cls.allows(action)
        if action != "subscribe" and who != "nobody":
            found.append(f"{action}: {rule_name(cls, action) if who == 'ask' else who}")
    return ", ".join(found) or "nothing more"


def _pattern(cls: type[Namespace]) -> str:
    return f"{cls.name}:{getattr(cls, 'pattern', '…')}"


def _delivery(delivery: Delivery) -> str:
    name = type(delivery).__name__
    if not delivery.size:
        return name
    return f"{name}, {delivery.size} messages, {delivery.ttl.total_seconds():g} s"


def _place(cls: type[Namespace]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
