"""The thread beside a job, step by step: without the thread, whose connection would see no memory."""

import threading

import pytest
from django.db import OperationalError
from django.utils import timezone

from instant import on_rpc
from instant.exceptions import ServerUnreachable
from instant.handlers import Cancelled
from instant.inbound.tickets import cancelling, heart, rows, telling
from instant.models import Ticket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


@pytest.fixture
def beside(queued, make_user):
    on_rpc("x", queue="q")(lambda call: None)
    queued(make_user("ann"), "x")
    return heart.Heart(rows.claim(), 60)


def told(publications):
    return [
        (p.payload["data"]["state"], p.payload["data"]["progress"], p.payload["data"]["message"])
        for p in publications
    ]


def test_it_says_that_the_job_runs_and_then_what_is_new(beside, publications):
    beside.step()
    beside.step()
    assert told(publications) == [("running", None, "")]
    beside.tell(0.1, "one")
    beside.tell({"of": 7}, "two")  # only the last one counts
    beside.step()
    beside.step()
    assert told(publications)[1:] == [("running", {"of": 7}, "two")]
    row = Ticket.objects.get()
    assert (row.progress, row.message) == ('{"of": 7}', "two")


def test_it_renews_the_lease_in_time(beside, monkeypatch):
    before = Ticket.objects.get().due_at
    beside.step()
    assert Ticket.objects.get().due_at == before
    clock = heart.time.monotonic() + 16
    monkeypatch.setattr(heart.time, "monotonic", lambda: clock)
    beside.step()
    renewed = Ticket.objects.get().due_at
    assert renewed > before
    beside.step()
    assert Ticket.objects.get().due_at == renewed
    assert renewed > timezone.now()


@pytest.mark.parametrize("how", ["cancelled", "taken", "deleted"])
def test_it_notices_that_nobody_waits_any_more(beside, publications, how):
    beside.step()
    beside.check()
    if how == "cancelled":
        cancelling.cancel(Ticket.objects.get())
    elif how == "taken":
        Ticket.objects.update(claim="another")
    else:
        Ticket.objects.all().delete()
    before = len(publications)
    beside.tell(0.5, "nobody gets this")
    beside.step()
    with pytest.raises(Cancelled):
        beside.check()
    with pytest.raises(Cancelled):
        beside.tell(0.6, "")
    assert len(publications) == before


def test_a_database_that_is_locked_holds_back_no_progress(beside, publications, monkeypatch):
    def locked(*_, **__):
        raise OperationalError("database is locked")

    beside.step()
    monkeypatch.setattr(rows, "beat", locked)
    for number in (1, 2):
        beside.tell(number, "")
        beside.step()
    assert [progress for _, progress, _ in told(publications)] == [None, 1, 2]
    beside.check()


def test_a_server_that_is_away_fails_no_job(beside, monkeypatch):
    def away(*_, **__):
        raise ServerUnreachable("away")

    monkeypatch.setattr(telling, "publish", away)
    beside.tell(1, "")
    beside.step()
    assert Ticket.objects.get().progress == "1"


def test_progress_that_is_no_json_is_the_job_s_error(beside):
    with pytest.raises(ValueError, match="JSON"):
        beside.tell(float("nan"), "")
    with pytest.raises(TypeError):
        beside.tell(object(), "")


def test_what_was_not_sent_is_written_with_the_end(beside):
    beside.tell(0.9, "last")
    assert beside.last == {"progress": "0.9", "message": "last"}
    assert beside.last == {}


def test_one_thread_is_beside_one_job_after_another(monkeypatch):
    seen = []
    monkeypatch.setattr(heart.Heart, "step", lambda self: seen.append(threading.get_ident()))
    for number in range(10):
        ticket = Ticket(pk=f"t{number}", queue="q", method="x")
        beside = heart.Heart(ticket, 60)
        with beside:
            while len(seen) == number:
                beside._called.set()
        assert beside._ended.is_set()
    # The last one's thread may be about to be free, which shows after its end.
    assert len(set(seen)) <= 2
