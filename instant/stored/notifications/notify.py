"""Notifications: a message each in its user's own channel, written and shown at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from instant import conf
from instant.channels.names import has_users, user_channels, user_key
from instant.producers import broadcast
from instant.publishing.payload import id_for
from instant.stored.model import Message
from instant.stored.note import Note, noted
from instant.stored.notifications.links import check_url
from instant.stored.notifications.model import Notification
from instant.stored.push import queue
from instant.stored.rows import database, insert, own, writing
from instant.stored.times import aware

__all__ = ["EVENT", "notify"]

EVENT = "instant:notification"
"""The event class of a notification."""


def notify(
    users: Any,
    title: str,
    body: str = "",
    url: str = "",
    *,
    kind: str = "",
    data: Any = None,
    idempotency_key: str | None = None,
) -> str | None:
    """See ``instant.messages.notify()``."""
    if not (title := str(title).strip()):
        raise ValueError("A notification needs a title.")
    content: dict[str, Any] = {
        "title": title,
        "body": str(body),
        "url": check_url(str(url)),
        "kind": kind,
        "created": aware(timezone.now()).isoformat(timespec="milliseconds"),
    }
    if data is not None:
        content["data"] = data
    keys = _keys(users)
    if not keys:
        return None
    names = dict(zip(user_channels(keys), keys, strict=True))
    alias = database()
    with writing():
        known = set()
        if idempotency_key:
            known = set(_messages(id_for(idempotency_key)).values_list("channel", flat=True))
            names = {name: key for name, key in names.items() if name not in known}
        if not names:
            return id_for(idempotency_key or "")
        with noted(Note(always=True)):
            publications = broadcast(
                names, data=content, event_class=EVENT, idempotency_key=idempotency_key, using=alias
            )
        _write(publications[0].id, names)
    return publications[0].id


def _keys(users: Any) -> Sequence[Any]:
    """Return the primary keys of a user, of users, or of what are keys."""
    if isinstance(users, QuerySet):
        if not has_users(users.model):
            raise TypeError(f"notify() takes users, not a queryset of {users.model.__name__}.")
        return list(users.order_by().values_list("pk", flat=True))
    if isinstance(users, str | bytes):
        raise TypeError(f"notify() takes users or a list of their keys, not {users!r}.")
    given: Iterable[Any] = users if isinstance(users, Iterable) else [users]
    return list(dict.fromkeys(_as_kept(user_key(user)) for user in given))


def _as_kept(key: Any) -> Any:
    """Return a key as the database has it: from JSON, a UUID comes as a text."""
    try:
        return get_user_model()._meta.pk.to_python(key)  # noqa: SLF001  Django's documented API
    except ValidationError:
        raise ValueError(f"notify() takes users or their keys, and {key!r} is no key.") from None


def _messages(id_: str) -> QuerySet[Message]:
    return own().filter(uuid=id_).order_by()


def _write(id_: str, names: dict[str, Any]) -> None:
    """Write whose they are, and who is to hear of them without a page."""
    users = {
        pk: names[channel]
        for pk, channel in _messages(id_).values_list("pk", "channel")
        if channel in names  # others have had theirs before, with the same key
    }
    reminders = conf.current().reminders
    due = None if reminders is None else timezone.now() + timedelta(minutes=reminders.after)
    rows = [Notification(message_id=pk, user_id=user, remind_at=due) for pk, user in users.items()]
    manager = Notification._base_manager.using(database())  # noqa: SLF001
    # Somebody else may have notified with the same key meanwhile: theirs are those messages.
    insert(manager.all(), rows, "message_id")
    queue.write(users)
