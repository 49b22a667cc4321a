"""Collecting by Django's tasks framework: ``django_tasks`` before Django 6."""

from __future__ import annotations

from instant.inbound.tickets import django_task
from instant.stored import collecting

__all__ = ["collect_messages", "send"]


@django_task.declare
def collect_messages() -> int:
    """Delete stored messages that need no longer be kept."""
    return collecting.collect()


def send() -> None:
    """Let a worker do it, on the first of the backend's queues."""
    collect_messages.using(backend=django_task.backend().alias).enqueue()
