"""What a user sees in their bell: how many are unread, which, and that they have read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Max, OuterRef, QuerySet

from instant.channels.names import user_channel
from instant.permissions import is_known
from instant.producers import publish
from instant.stored.model import Acknowledgement
from instant.stored.notifications.model import Notification
from instant.stored.rows import database, writing
from instant.tenancy import current as tenancy

__all__ = ["READ_EVENT", "listed", "mark_read", "of_user", "one", "shown", "unread", "waiting"]

READ_EVENT = "instant:notifications-read"
"""The event class by which a user's other pages hear what was read."""

_AT_ONCE = 500
_TOLD = 100
"""So many ids are told at the most; of more, up to which notification all are read."""


def unread(user: Any) -> int:
    """See ``instant.messages.unread()``."""
    return waiting(user).count()


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
    """
    See ``instant.messages.mark_read()``.

    In transactions of 500, oldest first; the pages are told in the last one, of all.
    """
    found = waiting(user)
    if ids is not None:
        found = found.filter(message__uuid__in=[_uuid(one) for one in ids])
    elif until is not None:
        found = found.filter(message__lte=_pk(user, until))
    else:  # what comes meanwhile isn't read
        newest = found.aggregate(newest=Max("message"))["newest"]
        found = found.filter(message__lte=newest or 0)
    read: list[str] = []
    while True:
        with writing():
            some = list(
                found.order_by("message").values_list("message", "message__uuid")[:_AT_ONCE]
            )
            _acknowledge(user, [pk for pk, _ in some])
            read += [uuid.hex for _, uuid in some[: _TOLD + 1 - len(read)]]
            if len(some) < _AT_ONCE:
                left = unread(user)
                if read:
                    _tell(user, left, read)
                return left
        # Not those again that somebody else marks, where an older snapshot still shows them.
        found = found.filter(message__gt=some[-1][0])


def one(user: Any, id_: UUID | str) -> dict[str, Any] | None:
    """Return a notification as a page shows it; None where the user has none with the id."""
    found = of_user(user).filter(message__uuid=_uuid(id_)).select_related("message")
    notification = found.annotate(read=Exists(_done(user))).first()
    return None if notification is None else shown(notification)


def waiting(user: Any) -> QuerySet[Notification]:
    """Return those that the user hasn't read."""
    return of_user(user).filter(~Exists(_done(user)))


def _acknowledge(user: Any, keys: Sequence[int]) -> None:
    manager = Acknowledgement._base_manager.using(database())  # noqa: SLF001
    manager.bulk_create(
        [Acknowledgement(message_id=pk, user_id=user.pk) for pk in keys], ignore_conflicts=True
    )


def _tell(user: Any, left: int, read: Sequence[str]) -> None:
    """Tell the user's pages; of many they ask what is left."""
    told: dict[str, Any] = {"unread": left}
    if len(read) <= _TOLD:
        told["ids"] = read
    publish(user_channel(user), data=told, event_class=READ_EVENT, using=database())


def of_user(user: Any) -> QuerySet[Notification]:
    """Return all of a user's, in the current tenant."""
    if not is_known(user):
        raise PermissionDenied("Only users have notifications.")
    manager = Notification._base_manager.using(database())  # noqa: SLF001
    return manager.filter(user=user.pk, message__tenant=tenancy.current())


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
