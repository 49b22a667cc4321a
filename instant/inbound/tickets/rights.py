"""Whose a ticket is, and whether they may still have what it was about."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from django.contrib.auth.models import AnonymousUser

from instant.inbound.answers import Refused
from instant.inbound.call import PYTHON, Call, Job
from instant.inbound.callers import check_caller
from instant.inbound.registry import find_handler
from instant.inbound.tickets.model import Ticket
from instant.permissions import is_known
from instant.rights import accounts, tokens

__all__ = [
    "call_of",
    "holder_of",
    "is_of",
    "may_follow",
    "may_read",
    "owner",
    "owner_may_read",
]

logger = logging.getLogger("instant.tickets")


def holder_of(call: Call) -> str:
    """Return what an anonymous caller is known by: the session, else the connection."""
    if call.transport == PYTHON:
        return PYTHON  # which is no visitor's
    found = _holders(call)
    return found[0] if found else ""


def _holders(call: Call) -> list[str]:
    key = getattr(call.session, "session_key", None)
    session = [f"s:{hashlib.sha256(key.encode()).hexdigest()[:60]}"] if key else []
    return session + ([f"c:{call.client}"[:64]] if call.client else [])


def is_of(ticket: Ticket, call: Call) -> bool:
    """Tell whether it is the caller's: the same user, or the same visitor."""
    if ticket.owner:
        return tokens.subject(call.user) == ticket.owner
    return not is_known(call.user) and bool(ticket.holder) and ticket.holder in _holders(call)


def owner(ticket: Ticket) -> Any:
    """Return its user, as the database has them now; None for one who is gone or deactivated."""
    if not ticket.owner:
        return AnonymousUser()
    user = accounts.account(ticket.owner)
    return user if is_known(user) else None


def call_of(ticket: Ticket, user: Any, job: Job | None = None) -> Call:
    """Return the call that was put off, as somebody's."""
    caller = json.loads(ticket.caller) if ticket.caller else {}
    data = json.loads(ticket.data) if ticket.data else None
    return Call(user=user, method=ticket.method, data=data, **caller, _job=job)


def may_read(ticket: Ticket, user: Any) -> bool:
    """Tell whether somebody may call the method now, with what the ticket's caller has sent."""
    handler = find_handler("rpc", ticket.method)
    if handler is None:
        return False
    try:
        check_caller(handler, call_of(ticket, user))
    except Refused:
        return False
    except Exception:
        logger.exception("%s: whether it may be read is not known: no.", handler.place)
        return False
    return True


def owner_may_read(ticket: Ticket) -> bool:
    """Tell the same of its own user, as the database has them now."""
    user = owner(ticket)
    return user is not None and may_read(ticket, user)


def may_follow(ticket: Ticket, user: Any, *, visitors: bool) -> bool:
    """Tell whether somebody may be subscribed to its channel; ``visitors`` where any may be."""
    if ticket.owner:
        return tokens.subject(user) == ticket.owner and may_read(ticket, user)
    return visitors and not is_known(user) and may_read(ticket, AnonymousUser())
