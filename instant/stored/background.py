"""Collecting as a task of the framework that runs queued calls, too: INSTANT["JOBS"]["RUNNER"]."""

from __future__ import annotations

from importlib.util import find_spec

from django.utils.module_loading import import_string

from instant import conf
from instant.exceptions import InstantConfigError
from instant.stored.methods import is_stored

__all__ = ["enqueue", "register_tasks"]

_SENDERS = {
    "celery": "instant.stored.celery_task.send",
    "tasks": "instant.stored.django_task.send",
}


def enqueue() -> None:
    """Let the framework's workers collect. Raises InstantConfigError where there is none."""
    sender = _SENDERS.get(conf.current().jobs.runner or "")
    if sender is None:
        raise InstantConfigError(
            "No framework is set that could do it. Say INSTANT = "
            '{"JOBS": {"RUNNER": "celery"}}, or "tasks" for Django\'s tasks; or collect here.'
        )
    import_string(sender)()


def register_tasks() -> None:
    """Let Celery's workers know the task; called when the apps are ready."""
    try:
        is_used = conf.current().jobs.runner == "celery" and is_stored()
    except InstantConfigError:  # a check tells
        return
    if is_used and find_spec("celery") is not None:
        from instant.stored import celery_task  # noqa: F401, PLC0415  an extra
