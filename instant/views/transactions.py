"""Views that no ``ATOMIC_REQUESTS`` puts into a transaction."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse

__all__ = ["outside_of_transactions"]


def outside_of_transactions(
    view: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """
    Let a view read what is committed while it runs.

    A database that repeats its reads (MySQL) would show the state of the first query, which is
    older than the position: what was published in between would be missed.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(alias)(view)
    return view
