"""Publications that wait for the commit of a transaction."""

from __future__ import annotations

import logging
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


class Deferred:
    """
    One waiting publish(), held by Django's list of on-commit hooks and by nothing else.

    Django runs the hooks of a committed transaction one by one, drops those of a rolled back
    savepoint, and tells nobody which is the last. All have to leave together, in one batch
    under one deadline. So a hook that runs puts its envelopes on the pile, and the one after
    which no other is left alive sends the pile: only what Django ran is ever sent.
    """

    __slots__ = ("__weakref__", "_queue", "done", "envelopes")

    def __init__(self, queue: _Queue, envelopes: Sequence[Envelope]) -> None:
        self._queue = queue
        self.envelopes = envelopes
        self.done = False

    def __call__(self) -> None:
        """Run as on-commit hook; never raises."""
        if not self.done:
            self.done = True
            self._queue.committed(self)


class _Queue:
    """The waiting publications of one database connection, and the pile of committed ones."""

    __slots__ = ("__weakref__", "_count", "_pile", "_ran", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._ran = 0
        self._waiting: dict[weakref.ref[Deferred], int] = {}
        self._pile: list[Envelope] = []

    def add(self, envelopes: Sequence[Envelope]) -> Deferred:
        deferred = Deferred(self, envelopes)
        self._count += 1
        self._waiting[weakref.ref(deferred, self._gone)] = self._count
        return deferred

    def committed(self, deferred: Deferred) -> None:
        self._pile.extend(deferred.envelopes)
        self._ran = self._waiting.get(weakref.ref(deferred), 0)
        self._gone(weakref.ref(deferred))

    def _gone(self, reference: weakref.ref[Deferred]) -> None:
        """
        Forget a hook that ran or died; send the pile when none is left that would still run.

        A hook dies unrun where its savepoint was rolled back, and where another, not robust
        hook before it raised: then what was committed before it must still leave. Hooks run
        in the order of their numbers; a lower one left over stems from a TestCase, whose own
        transaction never commits.
        """
        self._waiting.pop(reference, None)
        if self._pile and next(reversed(self._waiting.values()), 0) <= self._ran:
            pile, self._pile = self._pile, []
            hand_over(pile)


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
        batch.add(envelopes)
        return
    try:
        backend = get_backend()
    except Exception:
        logger.exception("%d publications are lost: no backend.", len(envelopes))
        return
    try:
        backend.send(envelopes)
    except PublishError as exc:
        logger.error("After the commit: %s", exc)  # noqa: TRY400  the message says it all
        _signal_failure(type(backend), envelopes, exc)
    except Exception as exc:
        logger.exception("After the commit: %s failed.", type(backend).__name__)
        for envelope in envelopes:
            envelope.give_up()
        error = PublishError(f"{type(backend).__name__} failed: {type(exc).__name__}")
        error.__cause__ = exc
        _signal_failure(type(backend), envelopes, error)


def _signal_failure(sender: type, envelopes: Sequence[Envelope], error: PublishError) -> None:
    failed = [p for envelope in envelopes for p in envelope.publications if p.state == "failed"]
    for receiver, answer in publication_failed.send_robust(
        sender=sender, publications=failed, error=error
    ):
        if isinstance(answer, Exception):
            logger.error("Receiver %r of publication_failed raised.", receiver, exc_info=answer)
