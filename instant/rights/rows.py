"""What the rows of ``Channel`` say: the half of ``permissions`` that asks the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from instant.channels.names import check_row_name
from instant.exceptions import InvalidChannelName
from instant.models import Channel
from instant.namespaces import METHODS, Action, row_namespaces
from instant.rights import objects
from instant.rights.accounts import at_level, is_known, levels, memberships, staff_levels

__all__ = [
    "Row",
    "after",
    "allowing",
    "may_be",
    "named",
    "permitted",
    "readers",
    "rights",
]


class Row(NamedTuple):
    """A row, as far as rights are concerned."""

    pk: Any
    name: str
    level: str
    publish_level: str
    presence_level: str


_COLUMNS = ("pk", "name", "level", "publish_level", "presence_level")


def may_be(name: str) -> bool:
    """Tell whether a row may have the name: ``user:7`` in one must not open user 7's channel."""
    try:
        check_row_name(name, row_namespaces())
    except InvalidChannelName:
        return False
    return True


def allowing(user: Any, action: Action) -> QuerySet[Channel]:
    """Return the active rows on which the user may do it, each once."""
    subscribe = _subscribe_rule(user)
    if action in {"subscribe", "history"}:  # what is kept is also what is replayed
        return Channel.objects.filter(subscribe, is_active=True)
    if action == "presence":
        rule = Q(presence_level=Channel.PresenceLevel.SUBSCRIBERS) & subscribe
        rule |= Q(presence_level__in=staff_levels(user))
    elif action == "publish":
        rule = _listed_rule(user, "publish_level", subscribe, "publish_groups", "publishers")
    elif action == "status":
        rule = _listed_rule(user, "status_level", subscribe, "status_groups", "status_viewers")
    else:
        raise ValueError(f"{action!r} is not an action; known are {', '.join(METHODS)}.")
    for found in objects.keys(user, action):
        rule |= Q(pk__in=found)
    return Channel.objects.filter(rule, is_active=True)


def named(user: Any, names: Collection[str]) -> list[Row]:
    """Return the rows of these names to which the user may subscribe."""
    found = allowing(user, "subscribe").filter(name__in=names).order_by().values_list(*_COLUMNS)
    # Some databases compare without regard to case.
    return [row for row in map(Row._make, found) if row.name in names and may_be(row.name)]


def after(user: Any, name: str, limit: int) -> Iterator[Row]:
    """
    Yield the first rows after a name to which the user may subscribe, by name.

    One UNION of narrow queries: each finds its rows by an index, where one condition with OR
    would walk the whole table for a user who has nothing in it.
    """
    rows = Channel.objects.filter(is_active=True).order_by()
    if name:
        rows = rows.filter(name__gt=name)
    parts = [rows.filter(level=level) for level in levels(user)]
    if is_known(user):
        grouped = rows.filter(level=Channel.Level.GROUPS)
        lists = _by_lists(user, groups="groups", users="members")
        parts += [grouped.filter(pk__in=found) for found in lists]
    parts += [rows.filter(pk__in=found) for found in objects.keys(user, "subscribe")]
    first, *others = (part.values_list(*_COLUMNS) for part in parts)
    union = first.union(*others) if others else first
    yield from map(Row._make, union.order_by("name")[:limit])


def rights(user: Any, rows: Iterable[Row]) -> Mapping[str, tuple[Action, ...]]:
    """
    Return what else the user may on rows to which they may subscribe, by name.

    Asks the database only where one of the rows has a list of who may publish, or guardian is
    used.
    """
    rows = list(rows)
    subscribers = {*staff_levels(user), "subscribers"}
    listed = _listed(user, [row.pk for row in rows if row.publish_level == "listed"])
    listed |= _held(user, "publish", [row.pk for row in rows])
    found: dict[str, tuple[Action, ...]] = {}
    for row in rows:
        more: list[Action] = ["history"]
        if row.presence_level in subscribers:
            more.append("presence")
        if row.publish_level in subscribers or row.pk in listed:
            more.append("publish")
        found[row.name] = tuple(more)
    return found


def permitted(users: Sequence[Any], name: str) -> set[Any]:
    """Return the primary keys of those users who may subscribe; few queries for many users."""
    if not may_be(name):  # PostgreSQL raises for a NUL
        return set()
    row = Channel.objects.filter(name=name, is_active=True).first()
    if row is None or row.name != name:
        return set()
    held = objects.of_users(users, "subscribe", row)
    if row.level != Channel.Level.GROUPS:
        return held | {user.pk for user in users if row.level in levels(user)}
    keys = [user.pk for user in users if is_known(user)]
    members = Channel.members.through.objects.filter(channel=row)
    column = Channel.members.field.m2m_reverse_field_name()  # named after the user model
    found = set(members.filter(**{f"{column}__in": keys}).values_list(column, flat=True))
    groups = memberships()
    if groups is not None:
        user, group = groups.m2m_field_name(), groups.m2m_reverse_field_name()
        inside = groups.remote_field.through._base_manager.filter(  # noqa: SLF001
            **{f"{user}__in": keys, f"{group}__in": row.groups.order_by().values("pk")}
        )
        found |= set(inside.values_list(user, flat=True))
    return found | held


def readers(row: Channel) -> QuerySet[Any]:
    """Return the users who may subscribe to a row now, each once: nobody to an inactive one."""
    users = at_level(Channel.Level.USERS)
    if not row.is_active:
        return users.none()
    held = objects.holders(row, "subscribe")
    if row.level != Channel.Level.GROUPS:
        at = at_level(row.level)
        return users.filter(Q(pk__in=at.values("pk")) | held) if objects.are_used() else at
    member = Channel.members.field.m2m_reverse_field_name()  # named after the user model
    listed = Channel.members.through.objects.filter(channel=row).values(member)
    wanted = Q(pk__in=listed) | held
    groups = memberships()
    if groups is not None:
        user, group = groups.m2m_field_name(), groups.m2m_reverse_field_name()
        inside = groups.remote_field.through._base_manager.filter(  # noqa: SLF001
            **{f"{group}__in": row.groups.order_by().values("pk")}
        )
        wanted |= Q(pk__in=inside.values(user))
    return users.filter(wanted)


def _subscribe_rule(user: Any) -> Q:
    rule = Q(level__in=levels(user))
    if is_known(user):
        # Subqueries instead of joins: no duplicates, and nothing is read for a user without.
        grouped = Q(level=Channel.Level.GROUPS)
        for found in _by_lists(user, groups="groups", users="members"):
            rule |= grouped & Q(pk__in=found)
    for found in objects.keys(user, "subscribe"):
        rule |= Q(pk__in=found)
    return rule


def _listed_rule(user: Any, level: str, subscribe: Q, groups: str, users: str) -> Q:
    """Return the rule of an action for which rows may list groups and users."""
    rule = Q(**{level: "subscribers"}) & subscribe | Q(**{f"{level}__in": staff_levels(user)})
    if is_known(user):
        listed = Q(**{level: "listed"})
        for found in _by_lists(user, groups=groups, users=users):
            rule |= listed & Q(pk__in=found)
    return rule


def _listed(user: Any, keys: Sequence[Any]) -> set[Any]:
    """Return which of the rows list the user, or a group of theirs, as publisher."""
    if not keys or not is_known(user):
        return set()
    lists = _by_lists(user, groups="publish_groups", users="publishers")
    first, *others = (found.filter(channel_id__in=keys) for found in lists)
    return {row["channel_id"] for row in (first.union(*others) if others else first)}


def _held(user: Any, action: Action, pks: Sequence[Any]) -> set[Any]:
    """Return on which of the rows the user holds guardian's permission for the action."""
    held = objects.keys(user, action) if pks else []
    if not held:
        return set()
    rule = Q(pk__in=())
    for found in held:
        rule |= Q(pk__in=found)
    return set(Channel.objects.filter(rule, pk__in=pks).order_by().values_list("pk", flat=True))


def _by_lists(user: Any, *, groups: str, users: str) -> list[QuerySet[Any]]:
    """
    Return the keys of the channels that list the user, and of those that list a group of theirs.

    Each is a subquery, so that nothing has to be asked before.
    """
    listing = getattr(Channel, users)
    column = listing.field.m2m_reverse_field_name()  # named after the user model
    found = [listing.through.objects.filter(**{column: user.pk}).values("channel_id")]
    inside = memberships()
    if inside is not None:
        rows = inside.remote_field.through._base_manager  # noqa: SLF001
        mine = rows.filter(**{inside.m2m_field_name(): user.pk})
        keys = mine.values(inside.m2m_reverse_field_name())
        through = getattr(Channel, groups).through.objects
        found.append(through.filter(group_id__in=keys).values("channel_id"))
    return found
