"""A process that answers requests to one responder, one at a time, until it is stopped."""

from __future__ import annotations

from django.db import connections

from instant.inbound.tickets import bells, seen
from instant.inbound.tickets.worker import Worker

__all__ = ["RequestWorker", "keep_connections"]

_MAX_AGE = 60


def keep_connections() -> None:
    """
    Let this process keep its connections to databases for a minute, where it would for no time.

    ``CONN_MAX_AGE`` is 0 unless a project says otherwise: for web servers, whose threads are many.
    A worker has one, and would connect for each request. A pool keeps them itself, and Django
    refuses both together.
    """
    for connection in connections.all():
        values = connection.settings_dict
        if values["CONN_MAX_AGE"] == 0 and not values["OPTIONS"].get("pool"):
            values["CONN_MAX_AGE"] = _MAX_AGE


class RequestWorker(Worker):
    """Answers requests to a responder; with ``most`` it ends after so many."""

    def __init__(self, queue: str, parent: int = 0, *, most: int | None = None) -> None:
        super().__init__([queue], parent, most=most)
        self._queue = queue

    def _note(self) -> None:
        seen.note(self._queue)

    def run(self) -> None:
        """Work until stop(); each worker has a bell of its own, so that all of a host wake."""
        try:
            with bells.Bell(bells.of_workers(self._queue), is_one_of_many=True) as bell:
                self._work(bell.wait)
        finally:
            connections.close_all()
