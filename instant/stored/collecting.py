"""Messages that nobody waits for any more, or that are kept long enough: collected in batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import Substr
from django.utils import timezone

from instant import conf
from instant.channels.names import USER_NAMESPACE
from instant.inbound.tickets import rows, upkeep
from instant.inbound.tickets.channel import TicketChannel, channel_of
from instant.models import Channel
from instant.namespaces import find_namespace, registered
from instant.rights.primary import reading_from_primary
from instant.stored.acknowledging import what_is_over
from instant.stored.model import Acknowledgement, Message
from instant.stored.pace import Pace
from instant.stored.rows import Messages, database, own, writing
from instant.stored.rules import RESPONSES, are_rows_asked, of_namespace, of_row
from instant.tenancy import current as tenancy

__all__ = ["collect"]

_AT_ONCE = 500
"""Messages that one look is about."""


class _Limits(NamedTuple):
    age: timedelta | None
    most: int | None


def collect() -> int:
    """See ``instant.messages.collect()``."""
    deleted = 0
    for tenant in tenancy.every() if tenancy.are_used() else [""]:
        with tenancy.activate(tenant):
            deleted += _collect()
    return deleted


def _collect() -> int:
    deleted = last = 0
    now = timezone.now()
    while batch := list(_candidates(last, now).values_list("pk", flat=True)[:_AT_ONCE]):
        last = batch[-1]
        deleted += _look(batch, now)
    deleted += _over_count() + _without_ticket()
    while upkeep.remove_old(timezone.now()):  # those whose answers are gone by now, too
        pass
    return deleted


def _candidates(last: int, now: datetime) -> Messages:
    """
    Return the messages that may have to go: somebody acknowledged them, or they may be old.

    Not what is kept for ever, such as an archive or what people have read in their bell: that
    would be looked at, and locked, each time.
    """
    acknowledged = Exists(Acknowledgement._base_manager.filter(message=OuterRef("pk")))  # noqa: SLF001
    wanted = Q(acknowledged) & ~_kept_for_ever()
    ages = [limits.age for limits in _all_limits() if limits.age is not None]
    if ages:
        wanted |= Q(created_at__lt=now - min(ages))
    return own().filter(wanted, pk__gt=last)


def _kept_for_ever() -> Q:
    """Return the condition for messages that no acknowledgement lets go."""
    kept = Q(row=None, channel__startswith=f"{USER_NAMESPACE}:")
    for cls in registered():
        if of_namespace(cls).rule == "store":
            kept |= Q(row=None, is_reply=False, channel__startswith=f"{cls.name}:")
    if not are_rows_asked():
        return kept | Q(row__isnull=False) | Q(is_reply=True)
    if of_row("", role=RESPONSES).rule == "store":
        kept |= Q(row=None, is_reply=True)
    rules = ["store", ""] if of_row("").rule == "store" else ["store"]
    channels = Channel._base_manager.filter(store__in=rules).order_by()  # noqa: SLF001
    return kept | Q(row__in=channels.values("pk"), is_reply=False)


def _look(batch: Sequence[int], now: datetime) -> int:
    """
    Delete those of a batch that may go; return how many did.

    Which may is asked without a lock, since it takes long where the readers are many.
    """
    with reading_from_primary():
        rows = own().filter(pk__in=batch).select_related("row").defer("context", "content")
        found = list(rows)
    gone = [one.pk for one in found if _is_old(one, now)]
    old = set(gone)
    gone += what_is_over([one for one in found if one.pk not in old])
    return _delete(gone)


def _is_old(message: Message, now: datetime) -> bool:
    age = _limits(message.row_id, message.channel).age
    return age is not None and message.created_at < now - age


def _over_count() -> int:
    """Delete the oldest messages of channels that have more than they keep."""
    limits = [limits.most for limits in _all_limits() if limits.most is not None]
    if not limits:
        return 0
    deleted = 0
    for row, count in _counts(own().filter(row__isnull=False), "row", min(limits)):
        deleted += _excess(own().filter(row=row), count, _limits(row, "").most)
    for channel, count in _counts(own().filter(row=None), "channel", min(limits)):
        of_one = own().filter(row=None, channel=channel)
        deleted += _excess(of_one, count, _limits(None, channel).most)
    return deleted


def _counts(messages: Messages, by: str, least: int) -> list[tuple[Any, int]]:
    """Return how many messages there are of each that has more than the fewest that one keeps."""
    counted = messages.order_by().values_list(by).annotate(count=Count("pk"))
    return list(counted.filter(count__gt=least))


def _excess(messages: Messages, count: int, most: int | None) -> int:
    """Delete the oldest of a channel's messages, which is named as they are or was then."""
    deleted = 0
    excess = 0 if most is None else count - most
    while excess > 0:
        keys = list(messages.values_list("pk", flat=True)[: min(excess, _AT_ONCE)])
        if not keys:
            break
        deleted += _delete(keys)
        excess -= len(keys)
    return deleted


def _without_ticket() -> int:
    """Delete answers whose ticket is gone: nobody knows any more who may read them."""
    tickets = rows.own().filter(pk=OuterRef("ticket"))
    start = len(channel_of("")) + 1
    answers = own().filter(row=None, is_reply=True, channel__startswith=channel_of(""))
    gone = answers.annotate(ticket=Substr("channel", start)).filter(~Exists(tickets))
    deleted = 0
    while keys := list(gone.values_list("pk", flat=True)[:_AT_ONCE]):
        deleted += _delete(keys)
    return deleted


def _all_limits() -> list[_Limits]:
    """Return what all namespaces and the settings say."""
    found = [_Limits(cls.delivery.max_age, cls.delivery.max_count) for cls in registered()]
    return [*found, _limits(None, "")]


def _limits(row: Any, channel: str) -> _Limits:
    """Return what the namespace says; of rows, answers and users' own INSTANT["STORE"]."""
    declared = find_namespace(channel) if row is None else None
    if declared is not None and declared[0] is not TicketChannel:
        delivery = declared[0].delivery
        return _Limits(delivery.max_age, delivery.max_count)
    store = conf.current().store
    if store is None:
        return _Limits(None, None)
    age = None if store.max_age is None else timedelta(seconds=store.max_age)
    return _Limits(age, store.max_count)


def _delete(keys: Sequence[int]) -> int:
    """
    Delete messages by primary key, in short transactions; return how many were there.

    With a message go its acknowledgements, which may be a hundred thousand.
    """
    deleted = 0
    pace = Pace(_AT_ONCE)
    left = list(keys)
    while some := left[: pace.size]:
        with pace, writing():
            messages = Message._base_manager.using(database()).filter(pk__in=some)  # noqa: SLF001
            deleted += messages.delete()[1].get(Message._meta.label, 0)  # noqa: SLF001
        left = left[len(some) :]
    return deleted
