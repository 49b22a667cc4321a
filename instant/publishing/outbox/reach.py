"""
Whether a database can be connected to, where there are others that must not wait for it.

What a host that is gone, or a firewall, says is nothing: without ``connect_timeout`` connecting
takes minutes then, or never ends.
"""

from __future__ import annotations

import threading

from django.db import OperationalError, connections

__all__ = ["Reach"]

_PATIENCE = 2.0
"""Seconds for which the others wait."""
_REMOTE = frozenset({"postgresql", "mysql", "oracle"})


class Reach:
    """Tries to connect, in a thread of its own for each database."""

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}

    def check(self, alias: str) -> None:
        """Raise what keeps this thread from connecting; a connection that there is isn't tried."""
        connection = connections[alias]
        if connection.connection is not None or connection.vendor not in _REMOTE:
            return
        attempt = self._attempts.get(alias)
        if attempt is None:
            attempt = self._attempts[alias] = _Attempt(alias)
            attempt.start()
            attempt.join(_PATIENCE)
        if attempt.is_alive():
            raise OperationalError(
                f"The database {alias!r} has not answered within {_PATIENCE:.0f} seconds."
            )
        del self._attempts[alias]
        if attempt.error is not None:
            raise attempt.error


class _Attempt(threading.Thread):
    def __init__(self, alias: str) -> None:
        super().__init__(name=f"instant-outbox-{alias}", daemon=True)
        self._alias = alias
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            connections[self._alias].ensure_connection()
        except Exception as exc:  # noqa: BLE001  raised where somebody waits for it
            self.error = exc
        finally:
            connections.close_all()
