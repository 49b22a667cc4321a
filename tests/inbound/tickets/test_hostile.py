"""What callers, handlers and other processes do wrong, and what may not come of it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from instant import on_rpc
from instant.handlers import Cancelled, Refused
from instant.inbound.tickets import contents, heart, rows, upkeep, work
from instant.inbound.tickets.processes import Stopped
from instant.inbound.tickets.worker import Worker
from instant.models import Ticket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]

HALF = "\ud83d"


@pytest.fixture
def beside(queued, make_user):
    on_rpc("x", queue="q")(lambda call: None)
    queued(make_user("ann"), "x")
    return heart.Heart(rows.claim(), 60)


@pytest.mark.parametrize("name", ["", "\0", HALF, "é", "x" * 100_000, "a/b", "%00", "' OR 1=1"])
def test_an_id_that_none_can_be_is_nobodys_ticket(queued, call, make_user, name):
    on_rpc("x", queue="q")(lambda call: None)
    ann = make_user("ann")
    queued(ann, "x")
    for method in ("instant.ticket", "instant.cancel"):
        with pytest.raises(Refused, match="no such ticket"):
            call(ann, method, {"id": name})


def test_progress_that_is_too_large_is_the_job_s_error(beside):
    with pytest.raises(ValueError, match="bytes"):
        beside.tell("x" * 100_000, "")
    with pytest.raises(ValueError, match="bytes"):
        beside.tell(None, "é" * 50_000)
    assert beside.last == {}


def test_progress_with_half_a_pair_is_told_without(beside, publications):
    beside.tell({"file": HALF}, HALF)
    beside.step()
    assert publications[-1].payload["data"]["progress"] == {"file": "?"}
    assert publications[-1].payload["data"]["message"] == "?"


def test_the_largest_of_all_fits_into_a_publication(queued, run_next, make_user, publications):
    @on_rpc("x", queue="q")
    def handler(call):
        call.progress("p" * (contents.MAX_PROGRESS - 100), "m" * 50)
        return "r" * (contents.MAX_RESULT - 2)

    queued(make_user("ann"), "x")
    assert run_next().state == "done"
    assert publications[-1].payload["data"]["state"] == "done"


@pytest.mark.parametrize("text", ["x" * 2_000_000, HALF, "\0"])
def test_whatever_a_refusal_says_the_job_ends(queued, run_next, make_user, publications, text):
    @on_rpc("x", queue="q")
    def handler(call):
        raise Refused(409, text)

    queued(make_user("ann"), "x")
    done = run_next()
    assert (done.state, done.code) == ("failed", 409)
    assert len(done.error) <= 1000
    assert publications[-1].payload["data"]["state"] == "failed"


def test_half_a_pair_in_a_result_is_no_failure(queued, run_next, make_user):
    on_rpc("x", queue="q")(lambda call: {"name": HALF})
    queued(make_user("ann"), "x")
    assert run_next().result == '{"name":"?"}'


def test_a_job_that_gives_up_by_itself_is_cancelled(queued, run_next, make_user, publications):
    @on_rpc("x", queue="q")
    def handler(call):
        raise Cancelled

    queued(make_user("ann"), "x")
    assert run_next().state == "cancelled"
    assert publications[-1].payload["data"]["state"] == "cancelled"


def test_a_lease_that_is_renewed_meanwhile_is_not_over(queued, make_user, settings):
    settings.INSTANT = {**settings.INSTANT, "JOBS": {"RUNNER": "runjobs", "ATTEMPTS": 1}}
    on_rpc("x", queue="q")(lambda call: None)
    queued(make_user("ann"), "x")
    ours = rows.claim()
    Ticket.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    seen = Ticket.objects.get()  # by somebody who looks after tickets
    assert rows.beat(ours)
    upkeep._expire(seen)
    assert Ticket.objects.get().state == "running"
    assert rows.is_ours(ours)


def test_whatever_a_job_does_its_worker_works_on(queued, make_user, monkeypatch, caplog):
    on_rpc("x", queue="q")(lambda call: None)
    ann = make_user("ann")
    for _ in range(2):
        queued(ann, "x")
    ran = []

    def run(ticket):
        ran.append(ticket.pk)
        raise RuntimeError("out of threads")

    monkeypatch.setattr(work.job, "run", run)
    worker = Worker()
    worker.drain()
    assert len(ran) == worker.ran == 2
    assert "out of threads" in caplog.text


def test_a_function_that_ends_its_process_does_so_a_few_times(
    queued, run_next, make_user, publications
):
    @on_rpc("x", queue="q")
    def handler(call):
        raise SystemExit(1)  # as argparse does

    queued(make_user("ann"), "x")
    for attempt in (1, 2, 3):
        assert Ticket.objects.get().state == "queued"
        with pytest.raises(SystemExit):
            run_next()
        assert Ticket.objects.get().attempts == attempt
    assert Ticket.objects.get().state == "failed"
    assert run_next() is None
    assert publications[-1].payload["data"]["error"] == {"code": 500, "message": "internal error"}


@pytest.mark.parametrize("raised", [Stopped, KeyboardInterrupt])
def test_a_worker_that_is_stopped_takes_no_attempt_away(queued, run_next, make_user, raised):
    @on_rpc("x", queue="q")
    def handler(call):
        raise raised

    queued(make_user("ann"), "x")
    for _ in range(5):
        with pytest.raises(raised):
            run_next()
    row = Ticket.objects.get()
    assert (row.state, row.attempts) == ("queued", 0)
