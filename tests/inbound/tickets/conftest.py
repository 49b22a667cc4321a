"""Queued calls: accepted as the server asks for them, and run in this process, without a thread."""

import pytest
from django.contrib.auth.models import AnonymousUser

from instant.inbound import dispatch
from instant.inbound.call import Call
from instant.inbound.registry import find_handler
from instant.inbound.tickets import job, rows, upkeep
from instant.inbound.tickets.still import Still
from instant.models import Ticket


@pytest.fixture(autouse=True)
def _looks_anew(monkeypatch):
    monkeypatch.setattr(upkeep, "_looked", {})


@pytest.fixture
def call():
    """Call a method as somebody; return the answer."""

    def call(user, method, data=None, **more):
        user = AnonymousUser() if user is None else user
        given = Call(user=user, method=method, data=data, **{"client": "c1", **more})
        return dispatch.run(find_handler("rpc", method), given)

    return call


@pytest.fixture
def queued(call):
    """Call a method that is queued; return the ticket's row."""

    def queued(user, method, data=None, **more):
        answer = call(user, method, data, **more)
        return Ticket.objects.get(pk=answer["instant:ticket"]["id"])

    return queued


@pytest.fixture
def run_next():
    """Claim the next job of these queues and run it; return its row, or None."""

    def run_next(*queues):
        ticket = rows.claim(queues)
        if ticket is None:
            return None
        job.run(ticket, Still)
        return Ticket.objects.get(pk=ticket.pk)

    return run_next
