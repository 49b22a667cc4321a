"""Whether anybody is there who answers: noted by workers, told where nobody is."""

import logging
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from instant import request, responder
from instant.inbound.tickets import bells, cancelling, rows, seen, upkeep
from instant.models import Ticket, WorkerSeen
from instant.stored import claiming
from instant.stored.worker import RequestWorker
from instant.testing import call_rpc

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]


@pytest.fixture(autouse=True)
def _own_bells(monkeypatch):
    # Other processes of the test run have workers, too. The name of a socket is short.
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(bells, "folder", lambda: Path(folder))
        yield


@pytest.fixture(autouse=True)
def _anew(monkeypatch):
    for module, name in ((upkeep, "_looked"), (seen, "_looked"), (seen, "_noted")):
        monkeypatch.setattr(module, name, {})


@pytest.fixture
def ann(registry, make_user):
    @responder("predict")
    def predict(call):
        return 1

    return make_user("ann")


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.WARNING, "instant.tickets")
    return lambda: [r.getMessage() for r in caplog.records if "no worker" in r.getMessage()]


def ask(user, **more):
    call_rpc(user, "instant.request", {"name": "predict", **more})


def test_a_request_that_nobody_answers_is_told_of_once_a_minute(ann, said, monkeypatch):
    ask(ann)
    ask(ann)
    [text] = said()
    assert "'predict'" in text
    assert "“manage.py runworker predict”" in text
    assert "never" in text
    monkeypatch.setattr(seen, "_looked", {("", "predict"): seen.time.monotonic() - 61})
    ask(ann)
    assert len(said()) == 2


def test_nobody_is_told_where_a_worker_is(ann, said):
    RequestWorker("request:predict").drain()
    ask(ann)
    assert said() == []


def test_a_worker_that_was_there_long_ago(ann, said):
    WorkerSeen.objects.create(
        responder="predict", seen_at=timezone.now() - seen.LIVE - timedelta(seconds=1)
    )
    ask(ann)
    assert "1:0" in said()[0]


def test_a_worker_of_this_host_is_not_asked_after(ann, said):
    with bells.Bell(bells.of_workers("request:predict"), is_one_of_many=True):
        ask(ann)
    assert said() == []


def test_a_worker_elsewhere_is_noted(ann):
    assert claiming.claim("predict") is None
    assert seen.last_seen("predict") > timezone.now() - timedelta(seconds=10)
    assert seen.last_seen("other") is None


def test_it_is_noted_now_and_then(ann, monkeypatch, django_assert_num_queries):
    seen.note("request:predict")
    before = WorkerSeen.objects.get().seen_at
    with django_assert_num_queries(0):
        seen.note("request:predict")
    monkeypatch.setattr(seen, "_noted", {})
    seen.note("request:predict")
    assert WorkerSeen.objects.get().seen_at > before


@pytest.mark.parametrize("debug", [True, False])
def test_the_page_is_told_with_debug(ann, settings, debug):
    settings.DEBUG = debug
    ask(ann, timeout=30)
    ticket = cancelling.expire(Ticket.objects.get())
    assert ticket.code == 504
    assert ticket.error.startswith("nobody answered in time")
    assert ("“manage.py runworker predict”" in ticket.error) is debug


def test_one_that_was_begun_had_a_worker(ann, settings):
    settings.DEBUG = True
    ask(ann, timeout=30)
    rows.claim(["request:predict"])
    assert cancelling.expire(Ticket.objects.get()).error == "nobody answered in time"


def test_python_is_told_too(ann):
    with pytest.raises(TimeoutError, match="runworker predict"):
        request("predict", timeout=0.02)


def test_the_list_of_handlers_says_it(ann, capsys):
    def last():
        call_command("handlers", no_color=True)
        return capsys.readouterr().out.splitlines()[-1]

    assert last() == "predict: no worker was ever there. Run “manage.py runworker predict”."
    seen.note("request:predict")
    assert last() == "predict: a worker was there 0 s ago."
    WorkerSeen.objects.update(seen_at=timezone.now() - timedelta(seconds=90))
    assert last() == "predict: a worker was there 90 s ago. Run “manage.py runworker predict”."
