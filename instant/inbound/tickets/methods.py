"""The methods of ours that pages call about tickets; and the namespace of their channels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from instant import namespaces
from instant.inbound import registry
from instant.inbound.answers import Refused
from instant.inbound.call import Call
from instant.inbound.tickets.channel import TicketChannel

if TYPE_CHECKING:
    from instant.inbound.tickets.model import Ticket

__all__ = ["cancel", "declare", "ticket"]


def declare(*, session: bool = False) -> None:
    """
    Register them, once: the first handler with a queue calls for them.

    With the caller's ``session`` where one of those handlers has it: a visitor is known by it.
    """
    known = namespaces._registry  # noqa: SLF001  a namespace of ours, which isn't a project's
    if TicketChannel not in known:
        known.append(TicketChannel)
        registry.register("rpc", "instant.ticket", anonymous=True)(ticket)
        registry.register("rpc", "instant.cancel", anonymous=True)(cancel)
    if session:
        listed = registry._registry  # noqa: SLF001  likewise
        listed[:] = [
            replace(handler, session=True) if handler.function in {ticket, cancel} else handler
            for handler in listed
        ]


def ticket(call: Call, id: str, seen: bool = False) -> dict[str, Any]:  # noqa: A002  the page's word
    """
    Answer how far a ticket is, and a token for its channel; 404 for whoever may not know.

    Who has ``seen`` the answer of a request says so: it is acknowledged, where it is stored.
    """
    from instant.inbound.tickets import accept, cancelling, rows, telling  # noqa: PLC0415  they need the models
    from instant.stored import request_messages  # noqa: PLC0415  likewise

    found = _found(call, id)
    if found.is_request:
        found = rows.seen(cancelling.expire_if_due(found))
        if seen and found.has_ended:
            request_messages.read(found, call.user)
    return {"ticket": telling.state_of(found), **accept.card(found, call.user)}


def cancel(call: Call, id: str) -> dict[str, Any]:  # noqa: A002
    """Cancel a ticket that hasn't ended, and answer how far it is."""
    from instant.inbound.tickets import cancelling, telling  # noqa: PLC0415  they need the models

    found = _found(call, id)
    return telling.state_of(cancelling.cancel(found))


def _found(call: Call, id_: str) -> Ticket:
    from instant.inbound.tickets import rights, rows  # noqa: PLC0415  they need the models

    found = rows.find(id_)
    if found is None or not rights.is_of(found, call) or not rights.may_read(found, call.user):
        raise Refused(404, "there is no such ticket")
    return found
