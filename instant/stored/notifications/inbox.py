"""What a user sees in their bell: how many are unread, which, and that they have read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from instant.channels.names import user_channel
from instant.permissions import is_known
from instant.producers import publish
from instant.stored.model import Acknowledgement
from instant.stored.notifications.model import Notification
from instant.stored.rows import database
from instant.tenancy import current as tenancy

__all__ = ["READ_EVENT", "listed", "mark_read", "of_user", "shown", "unread"]

READ_EVENT = "instant:notifications-read"
"""The event class by which a user's other pages hear what was read."""

_AT_ONCE = 500
_TOLD = 100
"""So many ids are told at the most; of more, up to which notification all are read."""


def unread(user: Any) -> int:
    """See ``instant.messages.unread()``."""
    return _waiting(user).count()


def listed(
    user: Any, *, before: str | None = None, limit: int = 20
) -> tuple[list[dict[str, Any]], bool]:
    """
    Return notifications, newest first, those before the one with the id; and if there are more.

    As a page shows them: id, title, body, url, kind, created, data where given, and read.
    """
    found = of_user(user).select_related("message").annotate(read=Exists(_done(user)))
    if before is not None:
        found = found.filter(message__lt=_pk(user, before))
    page = list(found.order_by("-message")[: limit + 1])
    return [shown(one) for one in page[:limit]], len(page) > limit


def shown(notification: Any) -> dict[str, Any]:
    """Return what a page shows of one that is annotated with ``read``."""
    return {
        **notification.message.payload["data"],
        "id": notification.message.uuid.hex,
        "read": notification.read,
    }


def mark_read(
    user: Any, ids: Iterable[UUID | str] | None = None, *, until: str | None = None
) -> int:
    """See ``instant.messages.mark_read()``."""
    found = _waiting(user)
    if ids is not None:
        found = found.filter(message__uuid__in=[_uuid(one) for one in ids])
    elif until is not None:
        found = found.filter(message__lte=_pk(user, until))
    alias = database()
    with transaction.atomic(using=alias):
        rows = list(found.order_by("message").values_list("message", "message__uuid"))
        if not rows:
            return unread(user)
        Acknowledgement._base_manager.using(alias).bulk_create(  # noqa: SLF001
            [Acknowledgement(message_id=pk, user_id=user.pk) for pk, _ in rows],
            batch_size=_AT_ONCE,
            ignore_conflicts=True,
        )
        left = unread(user)
        told: dict[str, Any] = {"unread": left}
        if len(rows) <= _TOLD:
            told["ids"] = [uuid.hex for _, uuid in rows]
        publish(user_channel(user), data=told, event_class=READ_EVENT, using=alias)
    return left


def of_user(user: Any) -> QuerySet[Notification]:
    """Return all of a user's, in the current tenant."""
    if not is_known(user):
        raise PermissionDenied("Only users have notifications.")
    manager = Notification._base_manager.using(database())  # noqa: SLF001
    return manager.filter(user=user.pk, message__tenant=tenancy.current())


def _waiting(user: Any) -> QuerySet[Notification]:
    return of_user(user).filter(~Exists(_done(user)))


def _done(user: Any) -> QuerySet[Acknowledgement]:
    manager = Acknowledgement._base_manager.using(database())  # noqa: SLF001
    return manager.filter(message=OuterRef("message"), user=user.pk)


def _pk(user: Any, id_: str) -> int:
    """Return where a notification of the user's stands; raise ValueError for what is none."""
    found = of_user(user).filter(message__uuid=_uuid(id_)).values_list("message", flat=True)
    try:
        return found.get()
    except Notification.DoesNotExist:
        raise ValueError("There is no such notification.") from None


def _uuid(given: UUID | str) -> UUID:
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{given!r} is not the id of a notification.") from None
