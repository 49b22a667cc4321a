"""Accept a call: its row, in the transaction that the call is in, and what the caller gets."""

from __future__ import annotations

import json
from typing import Any

from django.utils import timezone
from django.utils.translation import get_language

from instant.inbound.call import PYTHON, Call
from instant.inbound.encoder import AnswerEncoder
from instant.inbound.reserved import TICKET
from instant.inbound.tickets import rows, statements, waking
from instant.inbound.tickets.channel import channel_of
from instant.inbound.tickets.model import Ticket
from instant.inbound.tickets.rights import holder_of
from instant.rights import tokens
from instant.tenancy import current as tenancy

__all__ = ["accept", "card"]


def accept(call: Call, queue: str, priority: int, **columns: Any) -> dict[str, Any]:
    """Put a call off; whatever runs jobs is woken after the commit. ``columns`` are the row's."""
    sub = tokens.subject(call.user)
    now = timezone.now()
    ticket = Ticket(
        method=call.method.rpartition(":")[2],  # without a pool, which a wire name may have
        data="" if call.data is None else _json(call.data),
        tenant=tenancy.current(),
        owner=sub,
        holder="" if sub else holder_of(call),
        caller=_json(
            {
                "client": call.client,
                "transport": call.transport,
                "address": call.address,
                "meta": dict(call.meta),
                "id": call.id,
            }
        ),
        language=get_language() or "",
        queue=queue,
        priority=priority,
        created_at=now,
        due_at=now + rows.AGAIN,
    )
    for name, value in columns.items():
        setattr(ticket, name, value)
    is_ours = ticket.holder == PYTHON  # and nobody follows it
    followed = {} if is_ours else card(ticket, call.user)  # it may lack a key
    answer = {TICKET: {"id": ticket.pk, **followed}}
    statements.insert(rows.database(), ticket)
    waking.after_commit(rows.database(), queue, priority)
    return answer


def card(ticket: Ticket, user: Any) -> dict[str, Any]:
    """Return the channel, and a token with which its caller may follow it."""
    name = channel_of(ticket.pk)
    token = tokens.Signer(user).channel_token(name)
    return {"channel": name, "token": token.value, "exp": token.exp}


def _json(value: Any) -> str:
    # ASCII: no database takes half a surrogate pair, and a page may send one.
    return json.dumps(value, cls=AnswerEncoder, separators=(",", ":"))
