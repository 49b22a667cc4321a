"""
What workers on other machines do over HTTP: claim a request, say that they work on it, answer it.

Each knows one responder only, whose requests are all that it can claim, and of those only what the
responder's function gets: who asks, by primary key, and the data. Rights are asked here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from instant import conf
from instant.inbound.answers import Refused
from instant.inbound.callers import check_caller
from instant.inbound.registry import find_handler
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets import contents, rights, rows, seen, telling, upkeep
from instant.inbound.tickets.model import Ticket

__all__ = ["Claimed", "answer", "beat", "claim", "give_back"]

logger = logging.getLogger("instant.tickets")

_State = Ticket.State

_AT_ONCE = 20
"""Requests that are refused, one after the other, before a worker is told that nothing waits."""

Claimed = dict[str, Any]


def claim(responder: str) -> Claimed | None:
    """Claim the most urgent request; one whose caller may not ask any more ends here."""
    upkeep.now_and_then()
    seen.note(f"{REQUESTS}{responder}")
    for _ in range(_AT_ONCE):
        ticket = rows.claim([f"{REQUESTS}{responder}"])
        if ticket is None:
            return None
        try:
            _check(ticket)
        except Refused as exc:
            text = contents.error(exc.message)
            telling.ending(ticket, _State.FAILED, code=exc.code, error=text)
            continue
        except Exception:
            logger.exception("Whether ticket %s may be answered is not known: no.", ticket.pk)
            telling.ending(ticket, _State.FAILED, code=500, error="internal error")
            continue
        telling.tell(ticket)
        return {
            "id": ticket.pk,
            "claim": ticket.claim,
            "lease": conf.current().jobs.lease,
            "data": json.loads(ticket.data) if ticket.data else None,
            "user": ticket.owner,
            "language": ticket.language,
            "attempts": ticket.attempts,
        }
    return None


def _check(ticket: Ticket) -> None:
    handler = find_handler("rpc", ticket.method)
    if handler is None:
        raise Refused(404, "there is no such responder")
    user = rights.owner(ticket)
    if user is None:
        raise Refused(401, "log in first")
    call = rights.call_of(ticket, user)
    check_caller(handler, call)
    handler.arguments.read(call.data, {})


def beat(responder: str, id_: str, claim_: str, told: Mapping[str, Any] | None) -> bool:
    """
    Renew the lease, and tell how far it is; False where it is somebody else's by now.

    Raises ValueError for progress that is too large.
    """
    ticket = _claimed(responder, id_, claim_)
    if ticket is None:
        return False
    seen.note(ticket.queue)
    changes = {} if told is None else contents.progress(told.get("progress"), told["message"])
    if not rows.beat(ticket, **changes):
        return False
    if changes:
        for name, value in changes.items():
            setattr(ticket, name, value)
        telling.tell(ticket)
    return True


def answer(responder: str, id_: str, claim_: str, given: Mapping[str, Any]) -> bool:
    """
    End a request with its result, or with an error's code and message; False as of beat().

    Raises ValueError for a result that is too large.
    """
    ticket = _claimed(responder, id_, claim_)
    if ticket is None:
        return False
    error = given.get("error")
    if error is None:
        changes: dict[str, Any] = {"result": contents.encoded(given.get("result"))}
        return telling.ending(ticket, _State.DONE, **changes)
    refused = Refused(error["code"], contents.error(error["message"]))  # ValueError for a code
    return telling.ending(ticket, _State.FAILED, code=refused.code, error=refused.message)


def give_back(responder: str, id_: str, claim_: str) -> bool:
    """Let another worker answer it, as if this one had never begun; False as of beat()."""
    ticket = _claimed(responder, id_, claim_)
    return ticket is not None and rows.give_back(ticket)


def _claimed(responder: str, id_: str, claim_: str) -> Ticket | None:
    ticket = rows.find(id_)
    is_ours = (
        ticket is not None
        and ticket.queue == f"{REQUESTS}{responder}"
        and ticket.state == _State.RUNNING
        and bool(claim_)
        and ticket.claim == claim_
    )
    return ticket if is_ours else None
