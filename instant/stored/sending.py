"""Sending in the name of a user, and sending again; public as ``instant.messages``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.db import transaction

from instant.stored.note import Note, noted

if TYPE_CHECKING:
    from instant.models import Message
    from instant.publishing.publication import Publication

__all__ = ["aresend", "asend", "resend", "send"]


def send(
    user: Any,
    channel: str,
    message: Any = None,
    *,
    data: Any = None,
    context: Any = None,
    event_class: str | None = None,
    bucket: str = "",
    idempotency_key: str | None = None,
) -> Publication:
    """
    Publish in the name of a user, if they may publish to the channel.

    As ``publish()``, which asks nobody; where the channel is stored, with its sender and with
    ``context``, any JSON, which stays in the database. With ``INSTANT["STORE"]["CREATE"]`` a user
    who may add channels makes one that isn't there, and may subscribe and publish to it. Raises
    PermissionDenied, also for a channel that isn't there.
    """
    # They need the models.
    from instant import permissions  # noqa: PLC0415
    from instant.producers import publish  # noqa: PLC0415
    from instant.stored import creating  # noqa: PLC0415

    said = partial(
        publish,
        channel,
        message,
        data=data,
        event_class=event_class,
        bucket=bucket,
        idempotency_key=idempotency_key,
    )
    sender = user if permissions.is_known(user) else None
    with noted(Note(sender=sender, context=context)):
        if permissions.ask(user, "publish", channel):
            return said()
        # The channel is there when its first message is, or neither.
        with transaction.atomic(using=creating.database()):
            if not creating.create(user, channel):
                raise PermissionDenied(f"The user may not publish to {channel!r}.")
            return said(using=creating.database())


async def asend(
    user: Any,
    channel: str,
    message: Any = None,
    *,
    data: Any = None,
    context: Any = None,
    event_class: str | None = None,
    bucket: str = "",
    idempotency_key: str | None = None,
) -> Publication:
    """See send()."""
    return await sync_to_async(send)(
        user,
        channel,
        message,
        data=data,
        context=context,
        event_class=event_class,
        bucket=bucket,
        idempotency_key=idempotency_key,
    )


def resend(messages: Message | Iterable[Message]) -> int:
    """
    Send a stored message again, or several, and return how many.

    To whoever is subscribed and may be now: rights are asked first, and who has lost theirs is
    unsubscribed. A message keeps its id, by which a page knows what it has shown; nothing is
    stored anew. It goes at once, also in a transaction. Raises PublishError.
    """
    from instant.stored import model, resending  # noqa: PLC0415  they need the apps

    return resending.resend([messages] if isinstance(messages, model.Message) else messages)


async def aresend(messages: Message | Iterable[Message]) -> int:
    """See resend()."""
    return await sync_to_async(resend)(messages)
