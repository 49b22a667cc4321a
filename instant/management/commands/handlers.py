"""Print all handlers."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from instant.inbound import explain
from instant.inbound.registry import handlers
from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets import seen
from instant.management.commands.channels import write_table


class Command(BaseCommand):
    help = (
        "Prints what answers pages: handlers with who may call them, their policies and place; and "
        "of responders when a worker was there."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        lines = [astuple(line) for line in explain.lines()]
        if not lines:
            self.stdout.write("No app has declared a handler in its realtime.py.")
            return
        heading = ("kind", "about", "function", "who may", "policies", "declared in")
        write_table(self, [heading, *lines])
        for handler in handlers("rpc"):
            if handler.name.startswith(REQUESTS):
                self.stdout.write(_worker_of(handler.name.removeprefix(REQUESTS)))


def _worker_of(name: str) -> str:
    """Say whether anybody answers a responder's requests."""
    try:
        found = seen.last_seen(name)
    except (DatabaseError, InterfaceError) as exc:
        return f"{name}: whether a worker is there isn't known: {exc}".rstrip()
    if found is None:
        return f"{name}: no worker was ever there. Run “manage.py runworker {name}”."
    ago = (timezone.now() - found).total_seconds()
    text = f"{name}: a worker was there {ago:.0f} s ago."
    return text if ago <= seen.LIVE.total_seconds() else f"{text} Run “manage.py runworker {name}”."
