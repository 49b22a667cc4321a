"""Print all handlers."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from django.core.management.base import BaseCommand

from instant.inbound import explain
from instant.management.commands.channels import write_table


class Command(BaseCommand):
    help = "Prints what answers pages: handlers with who may call them, their policies and place."

    def handle(self, *_args: Any, **_options: Any) -> None:
        lines = [astuple(line) for line in explain.lines()]
        if not lines:
            self.stdout.write("No app has declared a handler in its realtime.py.")
            return
        heading = ("kind", "about", "function", "who may", "policies", "declared in")
        write_table(self, [heading, *lines])
