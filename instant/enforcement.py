"""
Rights that end, enforced on the connections that are open.

A change that may take rights away calls lose() in its transaction. After the commit the rule is
asked again for whom it may concern, and whoever has lost something is let go, in one batch.
A token that was issued a moment before can still be used for ``TOKEN_USE`` seconds: when they
are over the same is done once more, by whoever comes first (see ``revocations``).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.transaction import TransactionManagementError

from instant import conf
from instant.backends import get_backend
from instant.channels.names import check_name
from instant.exceptions import InstantConfigError, PublishError
from instant.namespaces import row_namespaces
from instant.publishing.commit_hook import wait_for_commit
from instant.revoking import ledger
from instant.revoking.affected import Loss
from instant.revoking.check import Pass
from instant.signals import enforcement_failed

__all__ = ["enforce", "first_pass", "is_on", "lose", "recheck", "report", "schedule"]

logger = logging.getLogger("instant.enforcement")


def is_on() -> bool:
    """Tell whether there is a server on which rights can be enforced."""
    try:
        return get_backend().reaches_server
    except InstantConfigError:  # a check tells; nobody's save() fails for it
        return False


def recheck(channel: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """
    Ask again for everybody who is in the channel, after the commit of ``using``.

    ``order:*`` stands for every channel of a namespace that is in use. Raises
    InvalidChannelName for what no channel can be named.
    """
    check_name(f"{channel[:-1]}x" if channel.endswith(":*") else channel)
    channels = {channel}
    if channel.removesuffix(":*") in row_namespaces():
        channels.add(f"${channel}")
    lose(Loss(channels=channels), using=using)


def lose(loss: Loss, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Remember in the transaction what may be lost, and enforce it after the commit."""
    if loss and is_on():
        schedule(ledger.remember(loss), using)


def schedule(revocation: ledger.Revocation, using: str) -> None:
    """Enforce after the commit, together with all else that the transaction takes away."""
    try:
        # Before publications: who has lost the channel must not get what is published with it.
        wait_for_commit(connections[using], [revocation], first_pass, first=True)
    except TransactionManagementError:
        # Without autocommit nobody tells of a commit: whoever makes second passes comes soon.
        logger.debug("Without autocommit there is no first pass.")


def first_pass(remembered: Sequence[ledger.Revocation]) -> None:
    """
    Enforce what a committed transaction has taken away; never raises an Exception.

    A failure is logged and signalled, and tried again by the next second pass that anybody
    makes.
    """
    try:
        ledger.settle(remembered, enforce([Loss.from_json(r.loss) for r in remembered]))
    except Exception:  # the change is committed, and the row is there
        logger.exception("Rights that ended are not enforced yet, it is tried again.")


def enforce(losses: Sequence[Loss]) -> list[Exception | None]:
    """
    Let go whoever has no right any more, in as few requests as possible.

    Returns for each loss why it could not be enforced, None where it was.
    """
    try:
        client = get_backend().client()
        if client is None:
            return [None] * len(losses)
        one = Pass(losses, client, conf.current().timeout)
        one.run()
    except Exception as exc:  # noqa: BLE001  whatever it is, it must be tried again
        return [exc] * len(losses)
    return one.errors


def report(loss: Loss, error: Exception) -> None:
    """
    Log a failure and signal it; Django logs what a receiver raises.

    Without keys, as before the first start of a server, it is logged once in a process.
    """
    if isinstance(error, InstantConfigError):
        _tell_once(str(error))
    elif isinstance(error, PublishError):
        logger.error("Rights that ended are not enforced yet, it is tried again: %s", error)
    else:
        logger.error("Rights that ended are not enforced yet, it is tried again.", exc_info=error)
    enforcement_failed.send_robust(sender=Loss, loss=loss, error=error)


@functools.cache
def _tell_once(text: str) -> None:
    logger.error("Rights that ended are not enforced yet, it is tried again: %s", text)
