"""Messages that wait for people, requests that wait for workers, and notifications."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack
from uuid import UUID

from asgiref.sync import sync_to_async

from instant.stored.sending import aresend, asend, resend, send

if TYPE_CHECKING:
    from instant.inbound.call import Call
    from instant.inbound.policies.options import PolicyOptions
    from instant.models import Message

__all__ = [
    "aacknowledge",
    "acknowledge",
    "amark_read",
    "anotify",
    "aoutstanding",
    "aping",
    "apong",
    "arequest",
    "aresend",
    "asend",
    "aunread",
    "collect",
    "mark_read",
    "notify",
    "outstanding",
    "ping",
    "pong",
    "request",
    "resend",
    "responder",
    "send",
    "unread",
]

_F = TypeVar("_F", bound=Callable[..., Any])


def outstanding(
    user: Any, channel: str | None = None, *, after: int = 0, limit: int = 100
) -> list[Message]:
    """
    Return the messages that the user hasn't acknowledged, oldest first.

    Of one channel, or of all stored channels that the user may subscribe to now; a message of
    a channel that they may no longer read is not among them. At most ``limit`` (1,000 at the
    most), those with a higher ``pk`` than ``after``: go on with that of the last one.

    Raises PermissionDenied for a channel that the user may not read, and for somebody who
    isn't logged in. Without a channel it asks the rule of each channel of a namespace that has
    messages which the user hasn't acknowledged.
    """
    from instant.stored import outstanding as stored  # noqa: PLC0415  it needs the models

    return stored.outstanding(user, channel, after=after, limit=limit)


async def aoutstanding(
    user: Any, channel: str | None = None, *, after: int = 0, limit: int = 100
) -> list[Message]:
    """See outstanding()."""
    return await sync_to_async(outstanding)(user, channel, after=after, limit=limit)


def acknowledge(user: Any, uuids: Iterable[UUID | str]) -> list[UUID]:
    """
    Note that the user has dealt with these messages; those that the rule lets go are deleted.

    ``uuids`` are the publications' ids. Returns which of them are acknowledged now, also
    where they were before. Those that aren't there (any more), or that the user may not read,
    are left out, with nothing that would tell which of both. Raises ValueError for what is no
    id, and PermissionDenied for somebody who isn't logged in.
    """
    from instant.stored import acknowledging  # noqa: PLC0415  it needs the models

    return acknowledging.acknowledge(user, uuids)


async def aacknowledge(user: Any, uuids: Iterable[UUID | str]) -> list[UUID]:
    """See acknowledge()."""
    return await sync_to_async(acknowledge)(user, uuids)


def responder(
    name: str,
    *,
    anonymous: bool = False,
    can: str | Callable[[Call], Any] | None = None,
    session: bool = False,
    backlog: int = 1000,
    **options: Unpack[PolicyOptions],
) -> Callable[[_F], _F]:
    """
    Answer requests of this name in processes of their own: ``manage.py runworker predict``.

    The function gets a ``Call`` and what the request's data says, as one of ``@on_rpc`` does, with
    the same options but ``queue``; what it returns is the answer. ``call.progress()`` tells how
    far it is. Whoever asks needs what is said here, and, where there is a channel's row of this
    name, the right to publish to it. While ``backlog`` requests wait others are refused (503).
    """
    from instant.stored import responding  # noqa: PLC0415  pages that ask nobody pay nothing

    return responding.register(
        name, anonymous=anonymous, can=can, session=session, backlog=backlog, options=options
    )


def request(
    name: str,
    data: Any = None,
    *,
    timeout: float = 30,
    user: Any = None,
    on_progress: Callable[[Any, str], Any] | None = None,
) -> Any:
    """
    Ask a responder and return its answer; ``data`` is any JSON.

    In the name of ``user``, whose rights are asked, or in nobody's, of whom nothing is asked.
    ``on_progress`` gets what the responder tells: how far it is, and a text. Raises TimeoutError
    where nobody has answered in so many seconds, and then nobody will; Refused with what the
    responder refuses (500 where it failed); Cancelled; LookupError where there is no such
    responder; TransactionManagementError in a transaction, which no worker can see into.
    """
    from instant.stored import waiting  # noqa: PLC0415  it needs the models

    return waiting.request(name, data, timeout=timeout, user=user, on_progress=on_progress)


async def arequest(
    name: str,
    data: Any = None,
    *,
    timeout: float = 30,  # noqa: ASYNC109  the request's, which ends for its worker too
    user: Any = None,
    on_progress: Callable[[Any, str], Any] | None = None,
) -> Any:
    """See request()."""
    from instant.stored import waiting  # noqa: PLC0415  it needs the models

    return await waiting.arequest(name, data, timeout=timeout, user=user, on_progress=on_progress)


def ping(channel: str) -> bool:
    """
    Ask whether somebody is there: publish a message of the class ``instant:ping``.

    To a channel of the admin that is active and ``answers_pings``; False for any other, to which
    nothing is sent. ``Channel.availability`` says what came of it.
    """
    from instant.stored import pinging  # noqa: PLC0415  it needs the models

    return pinging.ping(channel)


async def aping(channel: str) -> bool:
    """See ping()."""
    return await sync_to_async(ping)(channel)


def pong(channel: str, *, user: Any = None) -> bool:
    """
    Note that somebody is there: the answer to a ping.

    ``user`` is who answers, and has to be somebody who may subscribe: PermissionDenied else.
    Without one Python code does, and nobody is asked. Returns whether the channel is one that
    answers pings. Acknowledging a message is an answer, too.
    """
    from instant.stored import pinging  # noqa: PLC0415  it needs the models

    return pinging.pong(channel, user=user)


async def apong(channel: str, *, user: Any = None) -> bool:
    """See pong()."""
    return await sync_to_async(pong)(channel, user=user)


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
    """
    Notify a user, or several: stored until they have read it, and shown at once where they are.

    ``users`` is a user, a queryset of users, or a list of users or of their primary keys. ``url``
    is where it leads: a path, or an ``http(s)`` address. ``kind`` is a word of yours by which
    pages tell notifications apart, and ``data`` whatever else they need.

    It is part of the transaction that it is called in, and leaves with the commit. Whoever has one
    with the ``idempotency_key`` already gets no other. Returns the notification's id, the same for
    all of them; None where ``users`` is empty. Raises ValueError for a title that is empty and
    for any other ``url``.
    """
    from instant.stored.notifications import notify as notifications  # noqa: PLC0415  the models

    return notifications.notify(
        users, title, body, url, kind=kind, data=data, idempotency_key=idempotency_key
    )


async def anotify(
    users: Any,
    title: str,
    body: str = "",
    url: str = "",
    *,
    kind: str = "",
    data: Any = None,
    idempotency_key: str | None = None,
) -> str | None:
    """See notify()."""
    return await sync_to_async(notify)(
        users, title, body, url, kind=kind, data=data, idempotency_key=idempotency_key
    )


def unread(user: Any) -> int:
    """Return how many notifications the user hasn't read. Raises PermissionDenied for a visitor."""
    from instant.stored.notifications import inbox  # noqa: PLC0415  it needs the models

    return inbox.unread(user)


async def aunread(user: Any) -> int:
    """See unread()."""
    return await sync_to_async(unread)(user)


def mark_read(user: Any, ids: Iterable[UUID | str] | None = None) -> int:
    """
    Note that the user has read these notifications, or all; return how many are unread now.

    The user's open pages, on all devices, are told. Ids of others' notifications change nothing.
    Raises ValueError for what is no id, and PermissionDenied for a visitor.
    """
    from instant.stored.notifications import inbox  # noqa: PLC0415  it needs the models

    return inbox.mark_read(user, ids)


async def amark_read(user: Any, ids: Iterable[UUID | str] | None = None) -> int:
    """See mark_read()."""
    return await sync_to_async(mark_read)(user, ids)


def collect() -> int:
    """
    Delete messages that need no longer be kept, of all tenants; return how many.

    Those that all readers acknowledged who are still there; and, whoever has acknowledged them,
    those that are older or more than ``max_age`` and ``max_count`` allow. In transactions of 500.
    """
    from instant.stored import collecting  # noqa: PLC0415  it needs the models

    return collecting.collect()
