"""What is kept about a person here: their notifications, and which of them they have read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from instant.personal.part import Part, Person
from instant.stored.model import Acknowledgement, Message
from instant.stored.notifications.inbox import shown
from instant.stored.notifications.model import Notification
from instant.stored.rows import database
from instant.tenancy import current as tenancy

__all__ = ["PARTS"]

_AT_ONCE = 500


def _theirs(person: Person) -> QuerySet[Notification]:
    manager = Notification._base_manager.using(database())  # noqa: SLF001
    found = manager.filter(user=person.pk) if person.user else manager.none()
    return found.filter(message__tenant=tenancy.current()).order_by("message")


def _export(person: Person) -> Iterator[dict[str, Any]]:
    done = Acknowledgement._base_manager.filter(  # noqa: SLF001
        message=OuterRef("message"), user=OuterRef("user")
    )
    found = _theirs(person).select_related("message").annotate(read=Exists(done))
    yield from map(shown, found.iterator(_AT_ONCE))


def _erase(person: Person) -> int:
    count = 0
    while keys := list(_theirs(person).values_list("pk", flat=True)[:_AT_ONCE]):
        Message._base_manager.using(database()).filter(pk__in=keys).delete()  # noqa: SLF001
        count += len(keys)
    return count


PARTS = (Part(name="notifications", covers=("Notification.user",), export=_export, erase=_erase),)
