"""What is done by whoever was woken for a queue: the most urgent of its jobs."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError

from instant.inbound.tickets import job, rows, upkeep
from instant.inbound.tickets.between_jobs import close_old_connections
from instant.tenancy import current as tenancy

__all__ = ["run_next"]

logger = logging.getLogger("instant.tickets")


def run_next(tenant: str, queues: Sequence[str]) -> bool:
    """Run the most urgent job that waits in a tenant's queues; False where none does."""
    with tenancy.activate(tenant):
        upkeep.now_and_then()
        ticket = rows.claim(queues)
        if ticket is None:
            return False
        try:
            job.run(ticket)
        except (DatabaseError, InterfaceError):
            raise
        except Exception:
            # The next job is another one; this one is run again when its lease is over.
            logger.exception("Ticket %s (%s) was not run to its end.", ticket.pk, ticket.method)
        finally:
            close_old_connections()
        return True
