"""What happens to a stream's row: each step an UPDATE that names the writer it expects."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from instant.exceptions import StreamBusy, StreamCancelled, StreamError, StreamLost
from instant.streaming.again import again
from instant.streaming.model import Stream, StreamChunk
from instant.streaming.text import after, length, pieces
from instant.tenancy import current as tenancy

__all__ = [
    "BEAT",
    "LEASE",
    "SIGN",
    "Streams",
    "append",
    "beat",
    "begin",
    "cancel",
    "chunks",
    "close_old_connection",
    "database",
    "end_all_of",
    "interrupt",
    "is_in_transaction",
    "lapsed",
    "merge",
    "own",
    "remove",
    "why_over",
    "with_lapsed",
]

Streams = QuerySet[Stream]
State = Stream.State

LEASE = 10.0
"""Seconds after which a writer of whom nothing was seen counts as dead."""
BEAT = 2.5
"""Seconds after which a writer renews that at the latest."""
SIGN = 4.5
"""Seconds of silence after which pages are told that somebody still writes, at the next look."""

_MOST = 65_536
"""Characters of one piece at most."""

_OPEN = (State.WRITING, State.INTERRUPTED)
"""Who was taken for dead, and wasn't, goes on."""


def database() -> str:
    """Return where streams are."""
    return router.db_for_write(Stream)


def own() -> Streams:
    """Return the current tenant's streams, and of each whether its writer seems to be dead."""
    return Stream._base_manager.using(database()).filter(  # noqa: SLF001  Django's documented API
        tenant=tenancy.current()
    )


def lapsed() -> Q:
    """Return the condition for streams whose writer is gone and nobody has said so."""
    return Q(state=State.WRITING, seen_at__lt=Now() - timedelta(seconds=LEASE))


def with_lapsed(streams: Streams) -> Streams:
    """Say of each, as ``is_lapsed``, whether its writer is gone."""
    return streams.annotate(is_lapsed=ExpressionWrapper(lapsed(), output_field=BooleanField()))


def chunks(stream: Stream) -> QuerySet[StreamChunk]:
    """Return the pieces of a stream's text, in order; none where it was begun anew since."""
    return (
        StreamChunk._base_manager.using(database())  # noqa: SLF001  likewise
        .filter(stream=stream.pk, stream__run=stream.run)
        .order_by("end")
    )


@contextmanager
def writing(*, durable: bool = True) -> Iterator[None]:
    """Run the body in a transaction of its own: what is written can be seen by others after it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(transaction.atomic(using=database(), durable=durable))
        except RuntimeError as exc:
            raise TransactionManagementError(
                "A stream can't be written inside a transaction: nobody would see it before the "
                "commit. Leave the atomic block first, or put @transaction.non_atomic_requests on "
                "the view."
            ) from exc
        yield


def begin(channel: str, *, user: Any, resumes: bool) -> Stream:
    """
    Return the row of a stream that is written from now on, by whoever calls.

    Its text is gone, unless it ``resumes``. Raises StreamBusy where somebody else writes it.
    """
    key, claim = getattr(user, "pk", None), secrets.token_hex(16)
    with writing():
        pass  # nothing is read inside of somebody's transaction
    for _attempt in range(2):
        found = own().filter(channel=channel).first()
        if found is None:
            found = _created(channel, key, claim)
            if found is None:
                continue  # another has just made it
            return found
        run = found.run if resumes else secrets.token_hex(16)
        same = own().filter(~Q(state=State.WRITING) | lapsed(), pk=found.pk, claim=found.claim)
        with writing():
            changes = {"run": run, "claim": claim, "user_id": key} | (
                {} if resumes else {"length": 0, "created_at": timezone.now()}
            )
            if same.update(state=State.WRITING, seen_at=Now(), ended_at=None, **changes):
                if not resumes:
                    _delete_chunks([found.pk])
                # With what the dead one may have written since it was read.
                return own().get(pk=found.pk, claim=claim)
        break
    raise StreamBusy(f"{channel} is being written by somebody else.")


def _created(channel: str, user: Any, claim: str) -> Stream | None:
    """Return a new row; None where there is one. Raises IntegrityError without that user."""
    made = Stream(
        tenant=tenancy.current(),
        channel=channel,
        user_id=user,
        run=secrets.token_hex(16),
        claim=claim,
        seen_at=Now(),
    )
    try:
        # The inner one for a test, whose transaction a failure would end.
        with writing(), transaction.atomic(using=database()):
            made.save(using=database(), force_insert=True)
    except IntegrityError:
        if own().filter(channel=channel).exists():
            return None
        raise
    return made


@again
def append(stream: Stream, text: str, state: str = State.WRITING) -> int:
    """
    Write what comes next, and how it goes on, in one transaction; return the new length.

    What stands there already, because an earlier attempt was committed and nobody was told, isn't
    written twice. Raises what why_over() says where the stream isn't the caller's any more.
    """
    until = stream.length + length(text)
    if _append(stream, stream.length, text, state):
        return until
    found = own().filter(pk=stream.pk, claim=stream.claim).values_list("length", "state").first()
    if found is not None and stream.length <= found[0] <= until:
        stands, how = found
        if stands == until and how == state:
            return until
        if stands > stream.length and _append(
            stream, stands, after(text, stands - stream.length), state
        ):
            return until
    raise why_over(stream)


def _append(stream: Stream, start: int, text: str, state: str) -> bool:
    """Write text where the stream ends; tell whether it ends there, and is the caller's."""
    ended = None if state == State.WRITING else timezone.now()
    until, made = start, []
    for part in pieces(text, _MOST):
        end = until + length(part)
        made.append(StreamChunk(stream=stream, start=until, end=end, text=part))
        until = end
    # What isn't the end is written in no transaction but one inside of a test's.
    with writing(durable=state != State.WRITING):
        same = own().filter(pk=stream.pk, claim=stream.claim, state__in=_OPEN, length=start)
        if not same.update(length=until, state=state, seen_at=Now(), ended_at=ended):
            return False
        StreamChunk._base_manager.using(database()).bulk_create(made)  # noqa: SLF001
    return True


@again
def merge(stream: Stream, start: int, until: int) -> None:
    """Make one piece of those in between, so that a long text isn't thousands of rows."""
    with writing(durable=False):  # see _append()
        # First what writes: where SQLite has read before, it can't wait for another's write.
        if not own().filter(pk=stream.pk, claim=stream.claim).update(claim=stream.claim):
            return
        some = chunks(stream).filter(start__gte=start, end__lte=until)
        found = list(some.values_list("pk", "end", "text"))
        if len(found) > 1:
            rest = StreamChunk._base_manager.using(database())  # noqa: SLF001
            rest.filter(pk__in=[pk for pk, _end, _text in found[:-1]]).delete()
            text = "".join(text for _pk, _end, text in found)
            rest.filter(pk=found[-1][0]).update(start=start, text=text)


@again
def beat(stream: Stream) -> bool:
    """Renew the lease; tell whether others had been told that the writer is gone."""
    same = own().filter(pk=stream.pk, claim=stream.claim)
    if same.filter(state=State.WRITING).update(seen_at=Now()):
        return False
    back = same.filter(state=State.INTERRUPTED)
    if back.update(state=State.WRITING, seen_at=Now(), ended_at=None):
        return True
    raise why_over(stream)


def why_over(stream: Stream) -> StreamError:
    """Return why a writer can't write any more."""
    found = own().filter(pk=stream.pk, claim=stream.claim).values_list("state", flat=True).first()
    if found == State.CANCELLED:
        return StreamCancelled(f"{stream.channel}: nobody wants to read on.")
    return StreamLost(f"{stream.channel} was deleted, or begun anew by another writer.")


@again
def cancel(streams: Streams) -> list[Stream]:
    """End those that are still written; return them."""
    open_ = streams.filter(state__in=_OPEN)
    # Where a transaction keeps to what it has read, the writer's next piece would make it fail.
    locked = open_.select_for_update() if is_in_transaction() else open_
    return _end(locked, Q(state__in=_OPEN), State.CANCELLED)


def end_all_of(user: Any) -> None:
    """End what is written for a user, of all tenants, in one statement that locks the rows."""
    streams = Stream._base_manager.using(database()).filter(user=user, state__in=_OPEN)  # noqa: SLF001
    streams.update(state=State.CANCELLED, ended_at=timezone.now())


def interrupt(streams: Streams) -> list[Stream]:
    """Note of those whose writer is gone that it is; return them."""
    return _end(streams.filter(lapsed()), lapsed(), State.INTERRUPTED)


def _end(streams: Streams, expected: Q, state: str) -> list[Stream]:
    now = timezone.now()
    ended: list[Stream] = []
    for stream in streams:
        same = own().filter(expected, pk=stream.pk, claim=stream.claim)
        if same.update(state=state, ended_at=now):
            # With what was written up to the end, unless it is deleted by now.
            ended += own().filter(pk=stream.pk, claim=stream.claim)
    return ended


def remove(streams: Streams, keys: list[int]) -> int:
    """
    Delete those of some streams that have these keys, with their texts; return how many.

    What they are filtered by is asked again: who was old may be written anew since.
    """
    mark = secrets.token_hex(16)
    with transaction.atomic(using=database()):
        # First what writes: it keeps their writers out, and SQLite can't wait after a read.
        if not streams.filter(pk__in=keys).update(claim=mark):
            return 0
        marked = own().filter(pk__in=keys, claim=mark)
        found = list(marked.values_list("pk", flat=True))
        _delete_chunks(found)
        marked._raw_delete(marked.db)  # noqa: SLF001  one statement, whoever listens to all models
        return len(found)


def _delete_chunks(keys: list[int]) -> None:
    gone = StreamChunk._base_manager.using(database()).filter(stream__in=keys)  # noqa: SLF001
    gone._raw_delete(gone.db)  # noqa: SLF001  likewise


def close_old_connection() -> None:
    """Close it if it is broken or too old, as Django does; but not in a transaction."""
    connection = connections[database()]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def is_in_transaction() -> bool:
    """Tell whether whoever calls is in a transaction: that of a test."""
    return connections[database()].in_atomic_block
