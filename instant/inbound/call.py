"""One call of a handler: who asks for what, and by which way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.utils.functional import SimpleLazyObject

__all__ = ["PYTHON", "Call", "Job"]

PYTHON = "python"
"""The transport of what this site's own code asks in nobody's name: of it no right is asked."""


class Job(Protocol):
    """What runs a call that was queued."""

    @property
    def last(self) -> dict[str, str]:
        """What was told and isn't written yet."""

    def tell(self, done: Any, message: str) -> None:
        """Tell the caller how far it is; raises as check() does."""

    def check(self) -> None:
        """Raise Cancelled where nobody waits for it any more."""


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """What a handler gets as its first argument."""

    user: Any
    """
    Whoever calls, as the database has them.

    Where the method is for anonymous visitors too, it is read when it is looked at.
    """
    client: str = ""
    """The id of the connection that the server gave it; ``""`` over HTTP."""
    channel: str = ""
    """The channel it is about; ``""`` for a method."""
    method: str = ""
    """The method that was called; ``""`` where it is about a channel."""
    data: Any = field(default=None, repr=False)
    """What was sent: JSON. Of a publication, its data; its handler may change it, or replace it."""
    message: str = ""
    """The message of a publication, which its handler may change."""
    event_class: str = ""
    """The class of its event, likewise."""
    whisper: bool = False
    """Whether nobody keeps what is published, as a page's ``channel.whisper()`` asks for."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What ``@on_connect`` has noted for the connection. The client doesn't see it."""
    address: str = ""
    """
    Where the caller is: an IP address, or the /64 of one of version 6; ``""`` where it isn't known.

    Over a connection it is known where ``INSTANT["TRUSTED_PROXIES"]`` names who tells it.
    """
    transport: str = ""
    """
    ``websocket`` and the like; ``http`` or ``grpc`` for callers without a connection.

    ``python`` for a request of this site's own code in nobody's name, ``""`` for one in somebody's.
    """
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """
    Of the request that brought the call, where the caller made it; else empty.

    What comes over a connection came by the server, whose headers say nothing of the caller.
    """
    session: Any = field(default=None, repr=False)
    """
    The caller's session, where the handler asks for one with ``session=True``.

    None where the browser has none, or where it is no longer that of the connection's user.
    """
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """The arguments in the channel's name, where a namespace is handled."""
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the function gets beside the call, checked against its annotations."""
    id: str = ""
    """What the caller has named this call, so that it isn't answered twice; or ``""``."""
    sent: Mapping[str, Any] | None = field(default=None, repr=False)
    """What else a publication says, such as its id; None where all that was sent is data."""
    _job: Job | None = field(default=None, repr=False)
    _within: float | None = field(default=None, repr=False)
    """Seconds after which nobody waits for the answer of a request any more."""
    _ticket: str = field(default="", repr=False)
    """The id that its ticket gets, where whoever asks listens for it already."""

    async def auser(self) -> Any:
        """Return the user, in an ``async def``, where looking may have to ask the database."""
        if isinstance(self.user, SimpleLazyObject):
            await sync_to_async(bool)(self.user)
        return self.user

    def progress(self, done: Any = None, message: str = "") -> None:
        """
        Tell the caller how far a queued call is: ``done`` is any JSON, as 0.4 or a count.

        It is sent at once, whatever transaction is open, at most five times a second. Raises
        Cancelled as check() does. A call that isn't queued is answered soon, and this does nothing.
        """
        if self._job is not None:
            self._job.tell(done, message)

    def check(self) -> None:
        """
        Raise Cancelled where a queued call was cancelled, or another worker has taken it over.

        It is noticed within about two seconds. Let it through: what the function returns after
        that, nobody gets.
        """
        if self._job is not None:
            self._job.check()
