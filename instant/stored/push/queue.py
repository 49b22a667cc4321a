"""
What waits to be pushed: written in the transaction of the notification, claimed by an UPDATE.

A claim is over after a while, so what a process leaves that dies is somebody else's. It may have
been pushed then; the topic of a push lets a browser that was away have it once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import F, Min, Q, QuerySet
from django.utils import timezone

from instant import conf
from instant.publishing.commit_hook import wait_for_commit
from instant.revoking.host import ring
from instant.stored.push import subscriptions
from instant.stored.push.model import QueuedPush
from instant.stored.rows import database
from instant.tenancy import current as tenancy

__all__ = ["CHANNEL", "NAME", "claim", "done", "later", "next_due", "wake", "write"]

NAME = "push"
"""Of the lock and the bell of a host's relay."""
CHANNEL = "instant_push"
"""What PostgreSQL is told, so that relays of other hosts hear of it too."""

_AT_ONCE = 500
_BATCH = 100
_TURNS = 10
"""A batch takes no longer than so many requests."""

Queue = QuerySet[QueuedPush]


def own() -> Queue:
    """Return what waits, of the current tenant."""
    manager = QueuedPush._base_manager.using(database())  # noqa: SLF001
    return manager.filter(subscription__tenant=tenancy.current())


def write(messages: Mapping[int, Any]) -> None:
    """
    Queue messages for the browsers of their users, each of which is named by its primary key.

    In the transaction that is open. One query, and one more where there are browsers.
    """
    push = conf.current().push
    if push is None:
        return
    due = timezone.now() + timedelta(seconds=push.delay)
    made = [
        QueuedPush(subscription_id=subscription, message_id=message, due_at=due)
        for message, subscription in _browsers(messages)
    ]
    if made:
        manager = QueuedPush._base_manager.using(database())  # noqa: SLF001
        manager.bulk_create(made, batch_size=_AT_ONCE)
        wake()


def _browsers(messages: Mapping[int, Any]) -> Iterable[tuple[int, int]]:
    """Yield messages with the subscriptions of their users."""
    of_user: dict[Any, list[int]] = {}
    for message, user in messages.items():
        of_user.setdefault(user, []).append(message)
    users = list(of_user)
    found = subscriptions.own()
    for start in range(0, len(users), _AT_ONCE):
        some = found.filter(user__in=users[start : start + _AT_ONCE]).order_by("pk")
        for pk, user in some.values_list("pk", "user"):
            for message in of_user[user]:
                yield message, pk


def wake() -> None:
    """Wake the relays once what was written is committed."""
    alias = database()
    connection, tenant = connections[alias], tenancy.current()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # told with the commit
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, tenant])
    if connection.in_atomic_block:
        wait_for_commit(connection, [tenant], _ring)
    elif connection.get_autocommit():
        _ring([tenant])


def _ring(tenants: Iterable[str]) -> None:
    for tenant in dict.fromkeys(tenants):
        ring(tenant, name=NAME)


def claim(timeout: float) -> list[QueuedPush]:
    """
    Take what is due, some of it, with subscription and message; nobody else gets it.

    For as long as it takes where each request takes all of its ``timeout``.
    """
    now, claimed = timezone.now(), secrets.token_hex(16)
    due = own().filter(due_at__lte=now).order_by("due_at", "pk").values_list("pk", flat=True)
    keys = list(due[:_BATCH])
    if not keys:
        return []
    manager = QueuedPush._base_manager.using(database())  # noqa: SLF001
    until = now + timedelta(seconds=30 + _TURNS * timeout)
    # Asked again: somebody may have been faster.
    manager.filter(pk__in=keys, due_at__lte=now).update(claim=claimed, due_at=until)
    found = manager.filter(claim=claimed).select_related("subscription", "message")
    return list(found.order_by("pk"))


def done(pushes: Sequence[QueuedPush]) -> None:
    """Delete what was sent, or need not be, and is still ours."""
    _ours(pushes).delete()


def later(push: QueuedPush, due: datetime, *, failed: bool) -> None:
    """Try it again then, as another attempt or as if it had not been tried."""
    _ours([push]).update(claim="", due_at=due, attempts=F("attempts") + int(failed))


def next_due() -> datetime | None:
    """Return when something is due, or a claim over; None where nothing waits."""
    found: datetime | None = own().aggregate(next=Min("due_at"))["next"]
    return found


def _ours(pushes: Sequence[QueuedPush]) -> Queue:
    manager = QueuedPush._base_manager.using(database())  # noqa: SLF001
    claims = {push.claim for push in pushes}
    return manager.filter(Q(pk__in=[push.pk for push in pushes]) & Q(claim__in=claims))
