"""Collecting as a task of Celery, and of Django's tasks."""

import sys
from importlib import import_module
from importlib.util import find_spec
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from instant import publish
from instant.messages import acknowledge
from instant.models import Message
from instant.stored import background

pytestmark = pytest.mark.django_db

TASKS = "django.tasks" if find_spec("django.tasks") else "django_tasks"
MODULES = ("instant.stored.django_task", "instant.inbound.tickets.django_task")


def forget():
    for name in MODULES:
        sys.modules.pop(name, None)
        package, _, leaf = name.rpartition(".")
        vars(import_module(package)).pop(leaf, None)


@pytest.fixture
def jobs(settings):
    """Say what runs jobs; the tasks anew, since they are made for the backend of their site."""

    def say(runner):
        settings.INSTANT = {
            **settings.INSTANT, "JOBS": {"RUNNER": runner}, "STORE": {"MESSAGES": "cacheall"},
        }  # fmt: skip

    forget()
    yield say
    forget()


@pytest.fixture
def garbage(jobs, make_user, make_channel):
    """A message that all who are left have acknowledged."""

    def make(runner):
        jobs(runner)
        ann, bob = make_user("ann"), make_user("bob")
        channel = make_channel("$team", "groups", members=[ann, bob])
        acknowledge(ann, [publish("$team", "x").id])
        channel.members.remove(bob)

    return make


def collect():
    out = StringIO()
    call_command("collect_messages", "--enqueue", stdout=out)
    return out.getvalue()


def test_by_djangos_tasks(garbage):
    backend = {"BACKEND": f"{TASKS}.backends.immediate.ImmediateBackend", "QUEUES": ["bulk"]}
    with override_settings(TASKS={"default": backend}):
        garbage("tasks")
        assert collect() == "A worker was told.\n"
    assert not Message.objects.exists()


def test_by_celery(garbage, monkeypatch):
    garbage("celery")
    background.register_tasks()
    celery_task = sys.modules["instant.stored.celery_task"]
    task = celery_task.collect_messages
    assert task.name == "instant.collect_messages"
    told = []
    monkeypatch.setattr(task, "apply_async", lambda **options: told.append(options))
    assert collect() == "A worker was told.\n"
    assert told == [{"retry": False}]
    assert task() == 1
    assert not Message.objects.exists()


@pytest.mark.parametrize(("runner", "known"), [("celery", True), ("tasks", False), (None, False)])
def test_celery_knows_the_task_where_it_is_used(jobs, runner, known, monkeypatch):
    looked_for = []
    monkeypatch.setattr(background, "find_spec", looked_for.append)
    jobs(runner)
    background.register_tasks()
    assert looked_for == (["celery"] if known else [])


@pytest.mark.parametrize("runner", ["runjobs", None])
def test_without_a_framework_nobody_can_be_told(jobs, runner):
    jobs(runner)
    with pytest.raises(CommandError, match="RUNNER"):
        collect()
