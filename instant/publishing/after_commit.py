"""Publications that waited for the commit of a transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from instant.backends import get_backend
from instant.exceptions import PublishError
from instant.publishing.batch import current_batch
from instant.publishing.commit_queue import wait_for_commit
from instant.publishing.publication import Envelope
from instant.signals import publication_failed

__all__ = ["defer", "hand_over"]

logger = logging.getLogger("instant.producers")


def defer(connection: BaseDatabaseWrapper, envelopes: Sequence[Envelope]) -> None:
    """Let envelopes wait for the commit of the connection's outermost transaction."""
    wait_for_commit(connection, envelopes, hand_over)


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
    publication_failed.send_robust(sender=sender, publications=failed, error=error)
