"""Have changes enforced on the server that there is, and tell what could not be."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

from instant import conf
from instant.backends import get_backend
from instant.exceptions import InstantConfigError, PublishError
from instant.revoking import given
from instant.revoking.affected import Affected
from instant.revoking.check import Check
from instant.revoking.cost import Cost
from instant.rights.primary import reading_from_primary
from instant.signals import enforcement_failed
from instant.tenancy.commands import in_own_names

__all__ = ["enforce", "is_on", "report"]

logger = logging.getLogger("instant.enforcement")


def is_on() -> bool:
    """Tell whether there is a server on which rights are to be enforced."""
    try:
        return get_backend().reaches_server and conf.current().enforces
    except InstantConfigError:  # a check tells; nobody's save() fails for it
        return False


def enforce(
    affected: Sequence[Affected],
    *,
    queries: int | None = None,
    repeated: Sequence[bool] = (),
    between: Callable[[], None] = lambda: None,
) -> list[Exception | None]:
    """
    Unsubscribe and disconnect whoever has no right any more, in as few requests as possible.

    Returns for each why it could not be enforced, None where it was; OverCost where it would
    take more than so many ``queries``. ``repeated`` says which of them are follow-up checks;
    ``between`` is called again and again. All is read where writes go: a replica may not know
    yet what was committed.
    """
    try:
        client = get_backend().client()
        if client is None:
            return [None] * len(affected)
        with reading_from_primary(), Cost(queries, between) as cost:
            # First: whoever is sent away asks again at once.
            given.end(affected, repeated)
            own = in_own_names(client)
            check = Check(affected, own, conf.current().timeout, cost, repeated)
            check.run()
    except Exception as exc:  # noqa: BLE001  whatever it is, it must be tried again
        return [exc] * len(affected)
    return check.errors


def report(affected: Affected, error: Exception) -> None:
    """
    Log a failure and signal it; Django logs what a receiver raises.

    Without keys, as before the first start of a server, it is logged once in a process.
    """
    if isinstance(error, InstantConfigError):
        _log_once(str(error))
    elif isinstance(error, PublishError):
        logger.error("Rights that ended are not enforced yet; it will be tried again: %s", error)
    else:
        logger.error(
            "Rights that ended are not enforced yet; it will be tried again.", exc_info=error
        )
    enforcement_failed.send_robust(sender=Affected, loss=affected, error=error)


@functools.cache
def _log_once(text: str) -> None:
    logger.error("Rights that ended are not enforced yet; it will be tried again: %s", text)
