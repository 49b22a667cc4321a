"""What keeps a receiver from breaking the change that it listens to."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from instant.revoking import run, tables
from instant.revoking.affected import Affected
from instant.revoking.pending import is_noted, is_open
from instant.rights.primary import has_routers, reading_from_primary

__all__ = ["guarded", "unless_noted"]

logger = logging.getLogger("instant.enforcement")


def guarded(receiver: Callable[..., None]) -> Callable[..., None]:
    """
    Let a receiver run where a server is reached and our tables are there, and raise nothing.

    It reads where writes go: a replica may not know who has just come to have what is lost.
    What it can't make out is everything that may have been lost. A database that fails in a
    transaction is the one exception: there it has failed the project's change too.
    """

    @functools.wraps(receiver)
    def guard(*arguments: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or DEFAULT_DB_ALIAS
        if not is_open(connections[using]) and not (run.is_on() and tables.are_there()):
            return
        try:
            try:
                if has_routers():
                    with reading_from_primary():
                        receiver(*arguments, **kwargs)
                else:
                    receiver(*arguments, **kwargs)
            except DatabaseError:
                raise
            except Exception:
                logger.exception("What a change takes away is unknown: everybody is asked.")
                run.revoke(Affected(everything=True), using=using)
        except DatabaseError:
            if connections[using].in_atomic_block:
                raise
            logger.exception("What a change takes away could not be written down.")

    return guard


def unless_noted(receiver: Callable[..., None], channel: str = "") -> Callable[..., None]:
    """
    Let a receiver of pre_delete alone with rows that the transaction's check is about already.

    Of thousands, all but the first few hundred: what is done for each of them is all that
    Instant costs their deletion.
    """

    # As Django calls it: to pack arguments that nobody needs takes longer than to look.
    def goes(signal: Any, sender: Any, instance: Any, using: str, origin: Any = None) -> None:
        if not is_noted(using, channel):
            receiver(signal=signal, sender=sender, instance=instance, using=using, origin=origin)

    return functools.update_wrapper(goes, receiver)
