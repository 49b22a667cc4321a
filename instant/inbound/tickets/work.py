"""What is done by whoever was woken for a queue: the most urgent of its jobs."""

from __future__ import annotations

from collections.abc import Sequence

from instant.inbound.tickets import job, rows, upkeep
from instant.inbound.tickets.between_jobs import close_old_connections
from instant.tenancy import current as tenancy

__all__ = ["run_next"]


def run_next(tenant: str, queues: Sequence[str]) -> bool:
    """Run the most urgent job that waits in a tenant's queues; False where none does."""
    with tenancy.activate(tenant):
        upkeep.now_and_then()
        ticket = rows.claim(queues)
        if ticket is None:
            return False
        try:
            job.run(ticket)
        finally:
            close_old_connections()
        return True
