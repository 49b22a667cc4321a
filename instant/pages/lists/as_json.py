"""A list for pages that draw by themselves, as JSON."""

from __future__ import annotations

from typing import Any, TypedDict

from asgiref.sync import sync_to_async
from django.urls import reverse
from django.utils.asyncio import async_unsafe

from instant import conf
from instant.pages.lists.showing import show
from instant.pages.state import State

__all__ = ["LiveRows", "alive", "live"]


class LiveRows(TypedDict):
    """What a page's ``liveList()`` begins with."""

    channel: str
    ref: str
    rows: str
    """Where its rows are asked for."""
    life: int
    state: State | None
    items: list[tuple[str, Any]]
    """Key and columns of each row, in order."""


@async_unsafe("live() would hold up the event loop of this thread. Use “await alive(…)”.")
def live(queryset: Any, key: str = "pk", *, user: Any = None) -> LiveRows:
    """
    Return a list for a page that draws by itself, as JSON: ``live(orders.values("id", "total"))``.

    ``user`` (None: nobody) may follow it from now on. ``key`` is the column with the primary key.
    Raises ValueError for a queryset that can't be followed.
    """
    if key not in {"pk", queryset.model._meta.pk.name}:  # noqa: SLF001  Django's documented API
        raise ValueError(f"live(): the key must be the primary key, not {key!r}.")
    shown = show(queryset, {}, user=user, request=None)
    return LiveRows(
        channel=shown.channel,
        ref=shown.reference,
        rows=reverse("instant:rows"),
        life=conf.current().token_life,
        state=shown.state,
        items=list(shown.rows.items()),
    )


async def alive(queryset: Any, key: str = "pk", *, user: Any = None) -> LiveRows:
    """See live()."""
    return await sync_to_async(live)(queryset, key, user=user)
