"""Queued calls: accepted as the server asks for them, and run in this process, without a thread."""

import json

import pytest
from django.contrib.auth.models import AnonymousUser

from instant.inbound import dispatch
from instant.inbound.answers import Cancelled
from instant.inbound.call import Call
from instant.inbound.registry import find_handler
from instant.inbound.tickets import job, rows, upkeep
from instant.models import Ticket


class Still:
    """What a job tells, without a thread; a test steps."""

    def __init__(self, ticket, seconds):
        self.told = []
        self.over = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @property
    def last(self):
        if not self.told:
            return {}
        done, message = self.told[-1]
        return {"progress": json.dumps(done), "message": message}

    def tell(self, done, message):
        self.told.append((done, message))
        self.check()

    def check(self):
        if self.over:
            raise Cancelled


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
