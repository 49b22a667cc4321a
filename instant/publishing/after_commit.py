"""Publications that waited for the commit of a transaction."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from instant.backends import get_backend
from instant.exceptions import InstantConfigError
from instant.publishing.batch import join_batch, join_batch_of_block
from instant.publishing.commit_hook import wait_for_commit
from instant.publishing.delivery import deliver_quietly
from instant.publishing.publication import Envelope

__all__ = ["defer", "hand_over"]


def defer(connection: BaseDatabaseWrapper, envelopes: Sequence[Envelope]) -> None:
    """
    Let envelopes leave with the commit of the connection's outermost transaction.

    A transactional backend takes them now, or at the end of a batch that was opened in the same
    atomic block; for any other they wait here.
    """
    try:
        backend = get_backend()
    except InstantConfigError:  # told after the commit, as whatever keeps them from being sent
        backend = None
    if backend is None or not backend.transactional:
        wait_for_commit(connection, envelopes, hand_over)
    elif not join_batch_of_block(connection, envelopes):
        backend.in_transaction(envelopes, connection)


def hand_over(envelopes: Sequence[Envelope]) -> None:
    """
    Send after a commit: a failure is logged and signalled, and never raised.

    Where the commit happened inside ``with batch():`` they leave with the batch instead, so
    that the order of the calls is kept.
    """
    if not join_batch(envelopes, committed=True):
        deliver_quietly(envelopes)
