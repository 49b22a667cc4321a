"""Queued calls of several tenants, whose rows are in one table."""

import jwt
import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError, ProgrammingError

from instant import on_rpc
from instant.handlers import Refused
from instant.inbound import dispatch
from instant.inbound.call import Call
from instant.inbound.registry import find_handler
from instant.inbound.tickets import job, rows, running, upkeep, waking
from instant.inbound.tickets import worker as worker_module
from instant.inbound.tickets.still import Still
from instant.inbound.tickets.worker import Worker
from instant.models import Ticket

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("registry", "tenants"),
]


@pytest.fixture(autouse=True)
def _looks_anew(monkeypatch):
    monkeypatch.setattr(upkeep, "_looked", {})
    monkeypatch.setattr(job, "Heart", Still)
    monkeypatch.setattr(job.run, "__defaults__", (Still,))


def call(tenants, tenant, user, method, data=None):
    with tenants.activate(tenant):
        given = Call(user=user, method=method, data=data, client="c")
        return dispatch.run(find_handler("rpc", method), given)


def test_a_ticket_is_its_tenants(tenants, make_user):
    ann = make_user("ann")
    on_rpc("x", queue="q")(lambda call: None)
    ticket = call(tenants, "acme", ann, "x")["instant:ticket"]
    claims = jwt.decode(
        ticket["token"], settings.CENTRIFUGO_HMAC_KEY, ["HS256"], audience="tests/acme"
    )
    assert ticket["channel"] == f"ticket:{ticket['id']}"
    assert claims["channel"] == f"ticket:acme/{ticket['id']}"
    assert claims["sub"] == f"acme/{ann.pk}"
    assert call(tenants, "acme", ann, "instant.ticket", {"id": ticket["id"]})
    with pytest.raises(Refused, match="no such ticket"):
        call(tenants, "globex", ann, "instant.ticket", {"id": ticket["id"]})
    with tenants.activate("globex"):
        assert rows.claim() is None
    with tenants.activate("acme"):
        assert rows.claim().pk == ticket["id"]


def test_a_worker_goes_over_all_of_them_by_priority(tenants, make_user, publications):
    ran = []

    def note(call):
        ran.append((tenants.current(), call.method))
        return call.method

    on_rpc("low", queue="q")(note)
    on_rpc("high", queue="q", priority=5)(note)
    on_rpc("visitor", queue="q", priority=7, anonymous=True)(note)
    ann = make_user("ann")
    call(tenants, "acme", ann, "low")
    call(tenants, "globex", ann, "low")
    call(tenants, "globex", ann, "high")
    call(tenants, "acme", AnonymousUser(), "visitor")
    call(tenants, "acme", ann, "low")
    worker = Worker()
    worker.drain()
    assert ran == [
        ("acme", "visitor"), ("globex", "high"), ("acme", "low"), ("globex", "low"), ("acme", "low"),
    ]  # fmt: skip
    assert worker.ran == 5
    assert set(Ticket.objects.values_list("tenant", "state")) == {
        ("acme", "done"), ("globex", "done"),
    }  # fmt: skip


def test_the_tenant_is_named_to_whoever_is_woken(tenants, make_user, monkeypatch):
    woken = []
    monkeypatch.setattr(waking, "ring", lambda tenant, name: woken.append(tenant))
    on_rpc("x", queue="q")(lambda call: None)
    call(tenants, "acme", make_user("ann"), "x")
    assert woken == ["acme"]


def test_one_tenant_that_fails_holds_up_no_other(tenants, make_user, monkeypatch, caplog):
    ran = []
    on_rpc("x", queue="q")(lambda call: ran.append(tenants.current()))
    ann = make_user("ann")
    for name in ("acme", "globex"):
        call(tenants, name, ann, "x")
    real = rows.own

    def own():
        if tenants.current() == "acme":
            raise ProgrammingError("no such table: instant_ticket")
        return real()

    monkeypatch.setattr(rows, "own", own)
    names = tenants.all
    monkeypatch.setattr(tenants, "all", lambda: ["not a name", *names()])
    worker = Worker()
    worker.drain()
    assert ran == ["globex"]
    running._look()
    told = [
        r for r in caplog.records if "acme" in r.getMessage() and "no such table" in r.getMessage()
    ]
    assert told
    worker.drain()
    assert len([r for r in caplog.records if r.getMessage().startswith("Jobs of the tenant")]) == 1


def test_where_none_can_be_asked_the_worker_waits(tenants, monkeypatch):
    def own():
        raise OperationalError("away")

    monkeypatch.setattr(rows, "own", own)
    assert Worker()._turn() == worker_module._AWAY
