"""Calls that are queued, and nothing that would run them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from instant.conf import Conf
from instant.inbound.policies.queue import Queue
from instant.inbound.registry import handlers
from instant.inbound.reserved import REQUESTS

__all__ = ["queues"]

_OURS = (
    'or run “manage.py runjobs” beside the site, and say INSTANT["JOBS"] = {"RUNNER": "runjobs"}'
)


def queues(current: Conf) -> Iterator[CheckMessage]:
    """Yield what keeps jobs from being run, or from being run in the right order."""
    used = {
        policy.name
        for handler in handlers()
        for policy in handler.policies
        if isinstance(policy, Queue) and not policy.name.startswith(REQUESTS)
    }
    if not used:
        return
    listed = ", ".join(map(repr, sorted(used)))
    match current.jobs.runner:
        case None:
            yield Warning(
                f"Calls wait in the queue {listed}, and no setting says what runs them.",
                hint="Run “manage.py runjobs” beside the site, and say "
                'INSTANT["JOBS"] = {"RUNNER": "runjobs"}; or let Django\'s tasks ("tasks") or '
                'Celery ("celery") run them.',
                id="instant.W021",
            )
        case "celery":
            yield from _celery()
        case "tasks":
            yield from _tasks(current.jobs.backend, used)


def _celery() -> Iterator[CheckMessage]:
    if find_spec("celery") is None:
        yield Error(
            "INSTANT['JOBS'] lets Celery run queued calls, and Celery isn't installed.",
            hint=f"pip install 'django-instant[celery]', {_OURS}.",
            id="instant.E014",
        )
        return
    options = import_module("celery").current_app.conf
    if not options.broker_url:
        yield Error(
            "INSTANT['JOBS'] lets Celery run queued calls, and no Celery app has a broker.",
            hint="Import your Celery app in the project's __init__.py, as Celery's guide for "
            f"Django says, and set its broker_url; {_OURS}.",
            id="instant.E014",
        )
        return
    wrong = _out_of_order(options)
    if wrong:
        yield Warning(
            f"Celery's workers don't take the most urgent job next: {' and '.join(wrong)}.",
            hint="Set worker_prefetch_multiplier = 1, and for Redis broker_transport_options = "
            '{"queue_order_strategy": "priority"}.',
            id="instant.W021",
        )


def _out_of_order(options: Any) -> list[str]:
    found = []
    if options.worker_prefetch_multiplier != 1:
        found.append(f"worker_prefetch_multiplier is {options.worker_prefetch_multiplier}")
    strategy = (options.broker_transport_options or {}).get("queue_order_strategy")
    if str(options.broker_url).startswith("redis") and strategy != "priority":
        found.append(f"queue_order_strategy is {strategy or 'round_robin'!r}")
    return found


def _tasks(alias: str, used: set[str]) -> Iterator[CheckMessage]:
    name = "django.tasks" if find_spec("django.tasks") else "django_tasks"
    if find_spec(name) is None:
        yield Error(
            "INSTANT['JOBS'] lets Django's tasks run queued calls, and they aren't there.",
            hint="Django has them from 6.0 on; before, pip install 'django-tasks-db[compat]', "
            f"{_OURS}.",
            id="instant.E014",
        )
        return
    given = (getattr(settings, "TASKS", None) or {}).get(alias)
    if given is None or given["BACKEND"].endswith((".ImmediateBackend", ".DummyBackend")):
        what = "isn't there" if given is None else f"is {given['BACKEND'].rpartition('.')[2]}"
        yield Error(
            f"INSTANT['JOBS'] lets Django's tasks run queued calls, and TASKS[{alias!r}] {what}: "
            f"jobs would run while the caller waits, or never.",
            hint="Name a backend that has workers, such as django_tasks_db.DatabaseBackend, "
            f"{_OURS}.",
            id="instant.E014",
        )
        return
    taken = set(given.get("QUEUES", ["default"]))
    if taken and (missing := used - taken):
        yield Error(
            f"TASKS[{alias!r}] takes no tasks for {', '.join(map(repr, sorted(missing)))}.",
            hint=f'Add the names to its "QUEUES": {sorted(taken | used)!r}.',
            id="instant.E014",
        )
