"""Who is woken, and with which priority of theirs."""

from types import SimpleNamespace

import pytest
from django.test import override_settings

from instant import on_rpc
from instant.inbound.tickets import celery_task, running, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


@pytest.mark.parametrize(
    ("driver", "steps"),
    [("redis", {100: 0, 5: 4, 0: 5, -100: 9}), ("py-amqp", {100: 9, 5: 5, 0: 4, -100: 0})],
)
def test_celery_is_told_in_its_own_scale(monkeypatch, driver, steps):
    sent = []

    class Connection:
        transport = SimpleNamespace(driver_type=driver)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(celery_task.current_app, "connection_for_write", Connection)
    monkeypatch.setattr(
        celery_task.run_job, "apply_async", lambda args, **options: sent.append((args, options))
    )
    for priority, step in steps.items():
        celery_task.send("acme", "bulk", priority)
        args, options = sent.pop()
        assert args == ("acme", "bulk")
        assert (options["queue"], options["priority"]) == ("bulk", step)


def test_the_task_is_acknowledged_late():
    assert celery_task.run_job.acks_late
    assert celery_task.run_job.reject_on_worker_lost


def test_whoever_is_woken_runs_the_most_urgent_and_one_too_many_nothing(
    queued, make_user, monkeypatch
):
    from instant.inbound.tickets import job
    from instant.inbound.tickets.still import Still

    ran = []
    on_rpc("low", queue="q")(lambda call: ran.append("low"))
    on_rpc("high", queue="q", priority=1)(lambda call: ran.append("high"))
    monkeypatch.setattr(work.job, "run", lambda ticket, run=job.run: run(ticket, Still))
    ann = make_user("ann")
    queued(ann, "low")
    queued(ann, "high")
    assert work.run_next("", ["q"])
    assert work.run_next("", ["q"])
    assert not work.run_next("", ["q"])
    assert ran == ["high", "low"]


@pytest.mark.parametrize("runner", ["runjobs", "celery", "tasks"])
def test_the_web_process_looks_after_tickets_of_frameworks_only(runner, monkeypatch):
    started = []
    monkeypatch.setattr(running, "_start", lambda: started.append(runner))
    monkeypatch.setattr(running.os, "register_at_fork", lambda **_: None)
    with override_settings(INSTANT={"DIR": "/x", "JOBS": {"RUNNER": runner}}):
        running.start_with_server()
        assert started == []
        on_rpc("x", queue="q")(lambda call: None)
        running.start_with_server()
    assert started == ([] if runner == "runjobs" else [runner])
