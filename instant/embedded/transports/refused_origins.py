"""Pages of origins that may not connect: they are told nothing, so the log says it."""

from __future__ import annotations

import logging

log = logging.getLogger("instant.embedded")

_MOST = 100
"""Origins that are logged in the life of the process: a stranger can send any number."""
_LENGTH = 200

_logged: set[str] = set()


def log_once(origin: str) -> None:
    """Log that pages of the origin are refused, once for each."""
    if origin in _logged or len(_logged) >= _MOST:
        return
    _logged.add(origin)
    log.warning(
        "refusing pages of the origin %r: it is not in client.allowed_origins. Add it to "
        'INSTANT["ALLOWED_ORIGINS"], or its host to ALLOWED_HOSTS, and restart the server.',
        origin[:_LENGTH],
    )
