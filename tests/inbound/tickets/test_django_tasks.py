"""Jobs by Django's own tasks framework, which Django 6 brings, and by its backport before."""

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest
from django.db import transaction
from django.test import override_settings

from instant import on_rpc
from instant.inbound.tickets import work
from instant.inbound.tickets.still import Still
from instant.models import Ticket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]

NAME = "django.tasks" if find_spec("django.tasks") else "django_tasks"


@pytest.fixture
def tasks(monkeypatch):
    """The framework with a backend, and our task anew: it is made for the backend of its site."""

    def use(name, **options):
        given = {"BACKEND": f"{NAME}.backends.{name}", "QUEUES": ["bulk", "vip"], **options}
        monkeypatch.delitem(sys.modules, "instant.inbound.tickets.django_task", raising=False)
        settings = override_settings(
            TASKS={"default": given},
            INSTANT={"DIR": "/x", "JOBS": {"RUNNER": "tasks"}, "BACKEND": LOCMEM},
        )
        settings.enable()
        entered.append(settings)
        return import_module("instant.inbound.tickets.django_task")

    entered = []
    monkeypatch.setattr(work.job, "run", lambda ticket, run=work.job.run: run(ticket, Still))
    yield use
    for settings in entered:
        settings.disable()
    sys.modules.pop("instant.inbound.tickets.django_task", None)


LOCMEM = "instant.backends.locmem.LocmemBackend"


def state():
    return list(Ticket.objects.order_by("created_at").values_list("method", "state"))


def test_it_is_the_framework_that_django_has(tasks):
    assert tasks("dummy.DummyBackend")._framework.__name__ == NAME


def test_at_once_after_the_commit(tasks, queued, make_user):
    tasks("immediate.ImmediateBackend")
    on_rpc("x", queue="bulk")(lambda call: call.user.username)
    ann = make_user("ann")
    with transaction.atomic():
        ticket = queued(ann, "x")
        assert state() == [("x", "queued")]
    assert state() == [("x", "done")]
    assert Ticket.objects.get(pk=ticket.pk).result == '"ann"'


def test_what_a_job_raises_is_nobody_elses(tasks, queued, make_user, caplog):
    tasks("immediate.ImmediateBackend")

    @on_rpc("x", queue="vip")
    def failing(call):
        raise KeyError("x")

    queued(make_user("ann"), "x")
    assert state() == [("x", "failed")]


async def test_from_an_event_loop(tasks, make_user, in_threads):
    from asgiref.sync import sync_to_async

    from instant.inbound import dispatch
    from instant.inbound.call import Call
    from instant.inbound.registry import find_handler

    tasks("immediate.ImmediateBackend")

    @on_rpc("x", queue="bulk")
    async def handler(call):
        await asyncio.sleep(0)
        return 1

    ann = await sync_to_async(make_user)("ann")
    await dispatch.arun(find_handler("rpc", "x"), Call(user=ann, method="x"))
    assert await sync_to_async(state)() == [("x", "done")]


def test_what_is_sent_and_with_which_priority(tasks, queued, make_user):
    module = tasks("dummy.DummyBackend")
    on_rpc("x", queue="vip", priority=100)(lambda call: None)
    queued(make_user("ann"), "x")
    [found] = module.backend().results
    assert found.args == ["", "vip"]
    assert (found.task.queue_name, found.task.priority) == ("vip", 100)


def test_a_queue_that_the_backend_does_not_have_loses_no_call(tasks, queued, make_user, caplog):
    tasks("dummy.DummyBackend")
    on_rpc("x", queue="other")(lambda call: None)
    queued(make_user("ann"), "x")
    assert state() == [("x", "queued")]
    assert "can't be woken" in caplog.text
