"""The task that Django's tasks framework runs: ``django_tasks`` before Django 6."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from instant import conf
from instant.inbound.tickets import work

_framework = import_module("django.tasks" if find_spec("django.tasks") else "django_tasks")

__all__ = ["backend", "declare", "run_job", "send"]


def backend() -> Any:
    """Return what runs it."""
    return _framework.task_backends[conf.current().jobs.backend]


def _any_queue() -> str:
    """Return a queue that the backend takes: a task needs one before it is sent."""
    queues = backend().queues
    return min(queues) if queues else "default"


def declare(function: Callable[..., Any]) -> Any:
    """Make a task of a function, for the backend that runs ours."""
    using = _framework.task(queue_name=_any_queue(), backend=conf.current().jobs.backend)
    return using(function)


@declare
def run_job(tenant: str, queue: str) -> bool:
    """Run the most urgent job of a queue."""
    return work.run_next(tenant, [queue])


def send(tenant: str, queue: str, priority: int) -> None:
    """Wake a worker that has the framework's queue of the same name."""
    used = backend()
    if not used.supports_priority:
        priority = 0
    run_job.using(queue_name=queue, priority=priority, backend=used.alias).enqueue(tenant, queue)
