"""Collecting by Celery's workers, and at the times of Celery's beat; the extra ``[celery]``."""

from __future__ import annotations

from celery import shared_task

from instant.stored import collecting

__all__ = ["collect_messages", "send"]


@shared_task(name="instant.collect_messages", ignore_result=True)  # type: ignore[untyped-decorator]
def collect_messages() -> int:
    """Delete stored messages that need no longer be kept."""
    return collecting.collect()


def send() -> None:
    """Let a worker do it, on Celery's default queue."""
    collect_messages.apply_async(retry=False)
