"""Publish from anywhere: validate, encode, hand over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.asyncio import async_unsafe

from instant.backends import get_backend
from instant.channels.names import check_name, check_names, user_channel, user_channels
from instant.conf import site_name
from instant.inbound.listening import mirror
from instant.inbound.outgoing import are_asked, rewritten
from instant.publishing.after_commit import defer
from instant.publishing.batch import batch, join_batch
from instant.publishing.passing import is_passing
from instant.publishing.payload import Content, check, encode, encoded, id_for
from instant.publishing.publication import Envelope, Publication, Publications
from instant.schemas.events import are_declared
from instant.stored import rules as stored
from instant.tenancy import current as tenancy

__all__ = [
    "abroadcast",
    "apublish",
    "batch",
    "broadcast",
    "publish",
    "user_channel",
    "user_channels",
]

_WOULD_BLOCK = (
    "{0}() would hold up the event loop of this thread until the server has answered. "
    "Use “await a{0}(…)”, or call it in a thread: “await sync_to_async({0})(…)”."
)


@async_unsafe(_WOULD_BLOCK.format("publish"))
def publish(
    channel: str,
    message: Any = None,
    *,
    data: Any = None,
    event_class: str | None = None,
    bucket: str = "",
    site: str | None = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,
    on_commit: bool = True,
    using: str | None = None,
) -> Publication:
    """
    Publish to a channel; a message or data is required.

    Subscribers receive one JSON object: channel, site (``SITE_NAME`` unless given) and, where
    given, message, data, event_class and bucket, encoded now by DjangoJSONEncoder; ``id``, the
    publication's, by which a page knows it again; and ``tab`` where TabMiddleware knows whose
    request this is.

    Inside a transaction it waits for the outermost commit, leaves together with the other
    publications of the transaction, and is dropped with a rollback, savepoints included; a
    failure then is logged and sent as the signal ``publication_failed``. ``on_commit=False``
    does not wait for the commit; ``using`` names another database than the default one.
    Outside a transaction it goes at once, or with the ``batch()`` around it, and raises a
    PublishError where it fails.

    On the thread of an event loop it raises Django's SynchronousOnlyOperation, inside a
    transaction or a batch too: use apublish() there.

    ``timeout`` is in seconds, ``INSTANT["TIMEOUT"]`` unless given, and each request has so long
    for its answer.

    The server does not publish an ``idempotency_key`` to a channel again for five minutes, and
    pages drop the second one of an ``id``, which is the same for the same key. No query is
    made: whether anybody may read the channel is not asked. Raises InvalidChannelName,
    ValueError or TypeError for arguments that can't be published. Where ``@before_send``
    refuses, nothing is sent, and the publication's state is ``refused``.
    """
    check_name(channel)
    content = Content(message, data, event_class, bucket)
    envelopes, publications = _prepared(
        (channel,), content, site, idempotency_key, timeout, names_channel=True
    )
    _dispatch(envelopes, on_commit=on_commit, using=using)
    return publications[0]


async def apublish(
    channel: str,
    message: Any = None,
    *,
    data: Any = None,
    event_class: str | None = None,
    bucket: str = "",
    site: str | None = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,  # noqa: ASYNC109
) -> Publication:
    """See publish(). It never waits for a commit: Django has no async transactions."""
    check_name(channel)
    content = Content(message, data, event_class, bucket)
    envelopes, publications = await _aprepared(
        (channel,), content, site, idempotency_key, timeout, names_channel=True
    )
    await _adispatch(envelopes)
    return publications[0]


@async_unsafe(_WOULD_BLOCK.format("broadcast"))
def broadcast(
    channels: Iterable[str],
    message: Any = None,
    *,
    data: Any = None,
    event_class: str | None = None,
    bucket: str = "",
    site: str | None = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,
    on_commit: bool = True,
    using: str | None = None,
) -> Sequence[Publication]:
    """
    Publish the same to several channels; see publish().

    It goes in one request, or in as many as the channels need: 10,000 of them, or 512 KiB, fit
    into one. Each may take ``timeout`` seconds, and half a millisecond for each channel.

    Returns one Publication a channel, in order, each channel once. The payload is shared, so
    it does not name the channel; clients know on which one it arrived. They all have one
    ``id``. Raises BatchError where some channels were refused, after the others were served.
    Where a request fails, the error says so, those before it are sent, and none after it.
    """
    names = _names(channels)
    content = Content(message, data, event_class, bucket)
    envelopes, publications = _prepared(names, content, site, idempotency_key, timeout)
    _dispatch(envelopes, on_commit=on_commit, using=using)
    return publications


async def abroadcast(
    channels: Iterable[str],
    message: Any = None,
    *,
    data: Any = None,
    event_class: str | None = None,
    bucket: str = "",
    site: str | None = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,  # noqa: ASYNC109
) -> Sequence[Publication]:
    """See broadcast(). It never waits for a commit: Django has no async transactions."""
    names = _names(channels)
    content = Content(message, data, event_class, bucket)
    envelopes, publications = await _aprepared(names, content, site, idempotency_key, timeout)
    await _adispatch(envelopes)
    return publications


def _names(channels: Iterable[str]) -> Sequence[str]:
    if isinstance(channels, str):
        raise TypeError(f"broadcast() takes a list of channels, not the str {channels!r}.")
    names = tuple(channels)
    check_names(names)
    return names if len(set(names)) == len(names) else tuple(dict.fromkeys(names))


def _prepared(
    channels: Sequence[str],
    content: Content,
    site: str | None,
    idempotency_key: str | None,
    timeout: float | None,
    tenant: str | None = None,
    *,
    names_channel: bool = False,
) -> tuple[Sequence[Envelope], Sequence[Publication]]:
    """
    Return what is to be sent, and the publications in the order of the channels.

    For the tenant, or the current one; payload and publications have its own names.
    """
    check(content, timeout)
    content = _typed(channels, content)
    key = uuid4().hex if not idempotency_key else id_for(idempotency_key)
    first: dict[str, Any] = {"channel": channels[0]} if names_channel else {}
    first["site"] = site_name() if site is None else site

    def envelope(names: Sequence[str], content: Content) -> Envelope:
        body, payload = encoded(names, {**first}, content, key)
        publications: Sequence[Publication] = (
            (Publication(key, names[0], payload),)
            if len(names) == 1
            else Publications(key, names, payload)
        )
        wire = names if tenancy.tenants is None else tenancy.on_wire(names, tenant)
        once = idempotency_key or key
        return Envelope(wire, publications, body, once, timeout, passing=is_passing())

    if not are_asked() or not channels:
        only = envelope(channels, content)
        return (only,) if channels else (), only.publications
    envelopes: list[Envelope] = []
    made: dict[str, Publication] = {}
    for names, rest in rewritten(channels, content, encode):
        if rest is None:
            payload = encoded(names, {**first}, content, key)[1]
            made |= {name: Publication(key, name, payload, "refused") for name in names}
            continue
        check(rest, timeout)
        envelopes.append(envelope(names, _typed(names, rest)))
        made |= {publication.channel: publication for publication in envelopes[-1].publications}
    return envelopes, [made[name] for name in channels]


def _typed(channels: Sequence[str], content: Content) -> Content:
    """Check content against what its namespace declares, if any does."""
    if not channels or not are_declared():
        return content
    from instant.schemas.checking import checked  # noqa: PLC0415  only who declares events pays

    return checked(channels, content)


async def _aprepared(
    channels: Sequence[str],
    content: Content,
    site: str | None,
    idempotency_key: str | None,
    timeout: float | None,  # noqa: ASYNC109  not ours
    *,
    names_channel: bool = False,
) -> tuple[Sequence[Envelope], Sequence[Publication]]:
    """See _prepared(); hooks that aren't async run in a thread."""
    tenant = await tenancy.acurrent()
    prepare = sync_to_async(_prepared) if are_asked() else _at_once
    return await prepare(
        channels, content, site, idempotency_key, timeout, tenant, names_channel=names_channel
    )


async def _at_once(*args: Any, **kwargs: Any) -> tuple[Sequence[Envelope], Sequence[Publication]]:
    return _prepared(*args, **kwargs)


def _dispatch(envelopes: Sequence[Envelope], *, on_commit: bool, using: str | None) -> None:
    if not envelopes:
        return
    if stored.is_used():
        _store(envelopes, on_commit=on_commit, using=using)
    else:
        _hand_on(envelopes, on_commit=on_commit, using=using)


def _store(envelopes: Sequence[Envelope], *, on_commit: bool, using: str | None) -> None:
    """Write what belongs to stored channels, and hand all on in the same transaction."""
    from instant.stored import keep, rows  # noqa: PLC0415  they need the models

    kept = keep.kept(envelopes)
    if not kept:
        _hand_on(envelopes, on_commit=on_commit, using=using)
        return
    alias, connection = rows.database(), transaction.get_connection(using)
    waits = _waits(connection)
    if on_commit and waits and connection.alias != alias:
        keep.write_after_commit(connection, kept)
        _hand_on(envelopes, on_commit=on_commit, using=using)
        return
    # No savepoint: what can't be stored fails the transaction that it is a part of.
    with transaction.atomic(using=alias, savepoint=False):
        keep.write(kept)
        _hand_on(envelopes, on_commit=on_commit, using=using if waits else alias)


def _hand_on(envelopes: Sequence[Envelope], *, on_commit: bool, using: str | None) -> None:
    if not on_commit:
        for envelope in envelopes:
            envelope.on_commit = False
    elif _waits(connection := transaction.get_connection(using)):
        defer(connection, _with_copies(envelopes))
        return
    for envelope in envelopes:
        envelope.using = using
    envelopes = _with_copies(envelopes)
    if not join_batch(envelopes):
        get_backend().send(envelopes)


def _with_copies(envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
    """Return them, and the copies that go with them for those who listen to patterns."""
    if not mirror.is_used():
        return envelopes
    copied = [envelope for envelope in envelopes if not envelope.passing]
    return [*envelopes, *(copy for envelope in copied for copy in mirror.copies(envelope))]


def _waits(connection: BaseDatabaseWrapper) -> bool:
    """
    Tell whether the connection is inside a transaction, without opening it for the question.

    One that was begun by hand (autocommit off) has no on-commit hooks; Django says so then.
    """
    if connection.in_atomic_block:
        return True
    return connection.connection is not None and not connection.autocommit


async def _adispatch(envelopes: Sequence[Envelope]) -> None:
    if envelopes and stored.is_used():  # the database is asked in a thread
        await sync_to_async(_dispatch)(envelopes, on_commit=True, using=None)
        return
    envelopes = _with_copies(envelopes)
    if envelopes and not join_batch(envelopes):
        await get_backend().asend(envelopes)
