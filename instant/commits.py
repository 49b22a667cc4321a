"""Publications that wait for the commit of a transaction."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from instant.backends import get_backend
from instant.batches import current_batch
from instant.exceptions import PublishError
from instant.publications import Envelope
from instant.signals import publication_failed

__all__ = ["Deferred", "defer", "hand_over"]

logger = logging.getLogger("instant.producers")

_COUNTS_REFERENCES = sys.implementation.name == "cpython"


class Deferred:
    """
    One waiting publish(), held by Django's list of on-commit hooks and by nothing else.

    Django runs the hooks of a committed transaction one by one, in order, and drops those of
    a rolled back savepoint; it tells nobody which are left. All have to leave together, in
    one batch under one deadline. A dropped hook is gone, because nothing else refers to it:
    so when the first one runs, it sends for all that are alive behind it.
    """

    __slots__ = ("__weakref__", "_queue", "done", "envelopes")

    def __init__(self, queue: _Queue, envelopes: Sequence[Envelope]) -> None:
        self._queue = queue
        self.envelopes = envelopes
        self.done = False

    def __call__(self) -> None:
        """Run as on-commit hook; never raises an Exception."""
        if not self.done:
            hand_over(self._queue.take_from(self))


class _Queue:
    """The hooks of one database connection that have not run, in the order of publish()."""

    __slots__ = ("__weakref__", "_count", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._waiting: dict[weakref.ref[Deferred], int] = {}

    def add(self, envelopes: Sequence[Envelope]) -> Deferred:
        deferred = Deferred(self, envelopes)
        self._count += 1
        self._waiting[weakref.ref(deferred, self._forget)] = self._count
        return deferred

    def take_from(self, first: Deferred) -> list[Envelope]:
        """
        Return the envelopes of a hook that runs and of all alive behind it.

        One that is left before it stems from a TestCase, whose own transaction never commits.
        """
        if not _COUNTS_REFERENCES:
            gc.collect()  # elsewhere a dropped hook dies late, and must not be sent
        taken: list[Envelope] = []
        number = self._waiting.get(weakref.ref(first), 0)
        for reference, other in list(self._waiting.items()):
            deferred = reference()
            if deferred is not None and other >= number:
                del self._waiting[reference]
                deferred.done = True
                taken.extend(deferred.envelopes)
        return taken

    def _forget(self, reference: weakref.ref[Deferred]) -> None:
        self._waiting.pop(reference, None)


_queues: weakref.WeakKeyDictionary[BaseDatabaseWrapper, _Queue] = weakref.WeakKeyDictionary()


def defer(connection: BaseDatabaseWrapper, envelopes: Sequence[Envelope]) -> None:
    """Let envelopes wait for the commit of the connection's outermost transaction."""
    queue = _queues.get(connection)
    if queue is None:
        queue = _queues[connection] = _Queue()
    connection.on_commit(queue.add(envelopes), robust=True)


def hand_over(envelopes: Sequence[Envelope]) -> None:
    """
    Send after a commit: a failure is logged and signalled, and never raised.

    Where the commit happened inside ``with batch():`` they leave with the batch instead, so
    that the order of the calls is kept.
    """
    batch = current_batch()
    if batch is not None:
        batch.add(envelopes, committed=True)
        return
    sender: type = type(None)
    try:
        backend = get_backend()
        sender = type(backend)
        backend.send(envelopes)
    except PublishError as exc:
        logger.error("After the commit: %s", exc)  # noqa: TRY400  the message says it all
        _signal_failure(sender, envelopes, exc)
    except Exception as exc:
        logger.exception("After the commit: nothing was sent.")
        error = PublishError(f"Nothing was sent: {type(exc).__name__}: {exc}")
        error.__cause__ = exc
        _signal_failure(sender, envelopes, error)
    except BaseException:  # a worker that is told to stop
        for envelope in envelopes:
            envelope.give_up()
        raise


def _signal_failure(sender: type, envelopes: Sequence[Envelope], error: PublishError) -> None:
    for envelope in envelopes:
        envelope.give_up()
    failed = [p for envelope in envelopes for p in envelope.publications if p.state == "failed"]
    for receiver, answer in publication_failed.send_robust(
        sender=sender, publications=failed, error=error
    ):
        if isinstance(answer, Exception):
            logger.error("Receiver %r of publication_failed raised.", receiver, exc_info=answer)
