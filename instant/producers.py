"""Publish from anywhere: validate, encode, hand over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.asyncio import async_unsafe
from django.utils.crypto import salted_hmac

from instant.backends import get_backend
from instant.channels.names import check_name, check_names, user_channel, user_channels
from instant.conf import site_name
from instant.exceptions import PayloadTooLarge
from instant.inbound.listening import mirror
from instant.publishing.after_commit import defer
from instant.publishing.batch import batch, join_batch
from instant.publishing.origin_tab import current_tab
from instant.publishing.publication import Envelope, Publication, Publications
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

MAX_PAYLOAD = 1_000_000
"""
Bytes of JSON. A subscriber's queue holds 1 MiB (Centrifugo's ``client.queue_max_size``,
default); the server takes more without a word and disconnects every subscriber (3008).
"""

_FOREVER = 86_400.0
"""Seconds, a day: what is longer is a mistake."""

# NaN is not JSON: one would stop every browser that receives it.
_encode = DjangoJSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

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
    ValueError or TypeError for arguments that can't be published.
    """
    check_name(channel)
    payload: dict[str, Any] = {"channel": channel}
    envelope = _envelope(
        (channel,), payload, message, data, event_class, bucket, site, idempotency_key, timeout
    )
    _dispatch(envelope, on_commit=on_commit, using=using)
    return envelope.publications[0]


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
    payload: dict[str, Any] = {"channel": channel}
    envelope = _envelope(
        (channel,),
        payload,
        message,
        data,
        event_class,
        bucket,
        site,
        idempotency_key,
        timeout,
        await tenancy.acurrent(),
    )
    await _adispatch(envelope)
    return envelope.publications[0]


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
    envelope = _envelope(
        names, {}, message, data, event_class, bucket, site, idempotency_key, timeout
    )
    if names:
        _dispatch(envelope, on_commit=on_commit, using=using)
    return envelope.publications


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
    tenant = await tenancy.acurrent()
    envelope = _envelope(
        names, {}, message, data, event_class, bucket, site, idempotency_key, timeout, tenant
    )
    if names:
        await _adispatch(envelope)
    return envelope.publications


def _names(channels: Iterable[str]) -> Sequence[str]:
    if isinstance(channels, str):
        raise TypeError(f"broadcast() takes a list of channels, not the str {channels!r}.")
    names = tuple(channels)
    check_names(names)
    return names if len(set(names)) == len(names) else tuple(dict.fromkeys(names))


def _envelope(
    channels: Sequence[str],
    payload: dict[str, Any],
    message: Any,
    data: Any,
    event_class: str | None,
    bucket: str,
    site: str | None,
    idempotency_key: str | None,
    timeout: float | None,
    tenant: str | None = None,
) -> Envelope:
    """
    Build and encode the payload: what changes afterwards is not published.

    For the tenant, or the current one; payload and publications have its own names.
    """
    if message is None and data is None:
        raise ValueError("publish() needs a message or data.")
    if timeout is not None and not 0 < timeout < _FOREVER:
        raise ValueError(f"timeout is in seconds, more than 0, not {timeout!r}.")
    payload["site"] = site_name() if site is None else site
    if message is not None:
        payload["message"] = message
    if data is not None:
        payload["data"] = data
    if event_class is not None:
        payload["event_class"] = event_class
    if bucket:
        payload["bucket"] = bucket
    payload["id"] = key = uuid4().hex if not idempotency_key else _id_for(idempotency_key)
    tab = current_tab()
    if tab is not None:
        payload["tab"] = tab
    body = _encode(payload).encode()
    if len(body) > MAX_PAYLOAD:
        raise PayloadTooLarge(
            f"The payload has {len(body):,} bytes, and {MAX_PAYLOAD:,} are possible: the server "
            f"disconnects every subscriber of a larger one. Publish a reference (an id, a URL) "
            f"and let the page fetch the rest.",
            channel=channels[0] if len(channels) == 1 else None,
        )
    publications: Sequence[Publication] = (
        (Publication(key, channels[0], payload),)
        if len(channels) == 1
        else Publications(key, channels, payload)
    )
    wire = channels if tenancy.tenants is None else tenancy.on_wire(channels, tenant)
    return Envelope(wire, publications, body, idempotency_key or key, timeout)


def _id_for(idempotency_key: str) -> str:
    """
    Return the one ``id`` of all publications with a key.

    The server publishes the first of them only, and pages know it by this id. Readers can't
    tell it in advance: by publishing one like it they would have pages drop the real one.
    """
    if not isinstance(idempotency_key, str):
        raise TypeError(f"idempotency_key must be a str, not {type(idempotency_key).__name__}.")
    return salted_hmac("instant.producers", idempotency_key, algorithm="sha256").hexdigest()[:32]


def _dispatch(envelope: Envelope, *, on_commit: bool, using: str | None) -> None:
    if not on_commit:
        envelope.on_commit = False
    elif _waits(connection := transaction.get_connection(using)):
        defer(connection, _with_copies(envelope))
        return
    envelope.using = using
    envelopes = _with_copies(envelope)
    if not join_batch(envelopes):
        get_backend().send(envelopes)


def _with_copies(envelope: Envelope) -> Sequence[Envelope]:
    """Return it, and the copies that go with it for those who listen to patterns."""
    return (envelope, *mirror.copies(envelope)) if mirror.is_used() else (envelope,)


def _waits(connection: BaseDatabaseWrapper) -> bool:
    """
    Tell whether the connection is inside a transaction, without opening it for the question.

    One that was begun by hand (autocommit off) has no on-commit hooks; Django says so then.
    """
    if connection.in_atomic_block:
        return True
    return connection.connection is not None and not connection.autocommit


async def _adispatch(envelope: Envelope) -> None:
    envelopes = _with_copies(envelope)
    if not join_batch(envelopes):
        await get_backend().asend(envelopes)
