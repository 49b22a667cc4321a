"""What a handler answers where it has no result: a refusal, or the end of the connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instant.centrifugo.proxy import DISCONNECT_CODES, ERROR_CODES, MAX_REASON

__all__ = ["Cancelled", "Disconnect", "Published", "Refused"]

_MAX_FIELDS = 5
"""Of a payload that are named in one message."""


class Refused(Exception):
    """
    Raise it in a handler: the caller gets the code and the message.

    ``code`` is 400 to 1999; with a lower one clients would try again for ever. ``temporary``
    says that another try may help, ``retry_after`` in how many seconds. ``fields`` has what is
    wrong with each part of the payload: ``Refused(422, fields={"quantity": "only 3 are left"})``.
    Without a message they are the message, from which pages read them.
    """

    def __init__(
        self,
        code: int = 403,
        message: str | None = None,
        *,
        temporary: bool = False,
        retry_after: int | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        if code not in ERROR_CODES:
            raise ValueError(f"Refused() takes a code from 400 to 1999, not {code!r}.")
        if message is None:
            message = _sentence(fields) if fields else "permission denied"
        super().__init__(message)
        self.code = code
        self.message = message
        self.temporary = temporary
        self.retry_after = retry_after
        self.fields = dict(fields or {})


class Disconnect(Exception):
    """
    Raise it in a handler: the server closes the caller's connection.

    The client connects again after the codes 4000 to 4499, and doesn't after 4500 to 4999.
    ``reason`` is at most 32 ASCII characters. A caller without a connection is refused (403).
    """

    def __init__(self, code: int = 4500, reason: str = "") -> None:
        if code not in DISCONNECT_CODES:
            raise ValueError(f"Disconnect() takes a code from 4000 to 4999, not {code!r}.")
        if not reason.isascii() or len(reason) > MAX_REASON:
            raise ValueError(
                f"Disconnect() takes a reason of at most {MAX_REASON} ASCII characters."
            )
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _sentence(fields: Mapping[str, str]) -> str:
    told = [f"{name}: {text}" for name, text in list(fields.items())[:_MAX_FIELDS]]
    more = len(fields) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


@dataclass(frozen=True, slots=True)
class Published:
    """
    Return it from ``@on_publish``: all that is published, as ``publish()`` would.

    A dict that is returned is the new data alone; the class of the event stays the page's then.
    """

    data: Any = None
    message: str = ""
    event_class: str = ""


class Cancelled(Exception):
    """Raised in a queued call by ``call.progress()`` and ``call.check()``: nobody waits for it."""
