"""What ``channels`` prints: which channels there are, and what one person may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q

from instant import permissions
from instant.deliveries import Delivery
from instant.models import Channel
from instant.names import USER_NAMESPACE
from instant.namespaces import Namespace, registered

__all__ = ["Kind", "kinds", "reasons"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the catalogue."""

    pattern: str
    rule: str
    """Who may subscribe."""
    delivery: str
    place: str
    """Where it is declared."""


def kinds() -> Iterator[Kind]:
    """Yield the users' own channels, the rows by level, and the declared namespaces."""
    kept = "Recoverable, 100 messages, 300 s"
    yield Kind(f"{USER_NAMESPACE}:<pk>", "that user", kept, "built in")
    rows = Channel.objects.order_by("level").values("level")
    for row in rows.annotate(all=Count("pk"), active=Count("pk", filter=Q(is_active=True))):
        inactive = row["all"] - row["active"]
        more = f", {inactive} inactive" if inactive else ""
        label = Channel.Level(row["level"]).label
        count = f"{row['active']} {'row' if row['active'] == 1 else 'rows'}"
        yield Kind(f"{count}{more}", f"level “{label}”", kept, "the admin")
    for cls in registered():
        yield Kind(_pattern(cls), _rule(cls), _delivery(cls.delivery), _place(cls))


def reasons(user: Any) -> Iterator[tuple[str, str]]:
    """Yield each channel row that the user may subscribe to, with the reason; then namespaces."""
    after: str | None = ""
    while after is not None:
        page, after = permissions.grants_after(user, after, 500)
        for grant in page:
            own = grant.level == "user"
            yield grant.name, "the user's own" if own else f"level “{_label(grant.level)}”"
    for cls in registered():
        yield _pattern(cls), _rule(cls)


def _label(level: str) -> str:
    return str(Channel.Level(level).label)


def _pattern(cls: type[Namespace]) -> str:
    return f"{cls.name}:{cls.pattern}"


def _rule(cls: type[Namespace]) -> str:
    if cls.authorize == "open":
        return "everybody, unasked"
    for method in ("can_subscribe_many", "can_subscribe"):
        if getattr(cls, method) is not getattr(Namespace, method):
            return f"{cls.__qualname__}.{method}()"
    return "nobody: no can_subscribe()"


def _delivery(delivery: Delivery) -> str:
    name = type(delivery).__name__
    if not delivery.size:
        return name
    return f"{name}, {delivery.size} messages, {delivery.ttl.total_seconds():g} s"


def _place(cls: type[Namespace]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
