"""The channel of a ticket: in a namespace that is there only where a handler has a queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from instant.deliveries import Latest
from instant.namespaces import Namespace
from instant.permissions import is_known

__all__ = ["TicketChannel", "channel_of", "wake_up_channel"]


class TicketChannel(Namespace, abstract=True):
    """
    Who may follow a ticket: the user who has called, for as long as they may call the method.

    An anonymous visitor gets the token with the ticket, and from the method ``instant.ticket``,
    which knows their session; here nobody knows which visitor it is that asks.
    """

    name, pattern = "ticket", "<str:id>"
    delivery = Latest(ttl=timedelta(hours=1))

    def can_subscribe(self, user: Any, **kwargs: Any) -> bool:
        """Tell whether it is the user's own."""
        return self._may(user, kwargs["id"], visitors=False)

    def can_subscribe_users(self, users: Sequence[Any], **kwargs: Any) -> list[bool]:
        """Tell who may stay: visitors too, where it is a visitor's."""
        return [self._may(user, kwargs["id"], visitors=True) for user in users]

    def readers(self, **kwargs: Any) -> list[Any]:
        """Return its user, who is the reader of an answer that is stored."""
        from instant.inbound.tickets import rights, rows  # noqa: PLC0415  they need the models

        ticket = rows.find(kwargs["id"])
        user = rights.owner(ticket) if ticket is not None and ticket.owner else None
        return [] if user is None else [user]

    @staticmethod
    def _may(user: Any, id_: str, *, visitors: bool) -> bool:
        if id_.startswith(_WAKE_UP):
            return visitors and not is_known(user)  # workers are there, with tokens of visitors
        from instant.inbound.tickets import rights, rows  # noqa: PLC0415  they need the models

        ticket = rows.find(id_)
        return ticket is not None and rights.may_follow(ticket, user, visitors=visitors)


_WAKE_UP = "wake.up."
"""What no ticket's id begins with."""


def wake_up_channel(responder: str) -> str:
    """Return the name of the channel that wakes a responder's workers on other machines."""
    return channel_of(f"{_WAKE_UP}{responder}")


def channel_of(id_: str) -> str:
    """Return the name of a ticket's channel."""
    return f"{TicketChannel.name}:{id_}"
