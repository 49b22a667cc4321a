"""Answer the requests to one responder."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets.processes import Processes
from instant.stored.responding import find_responder
from instant.stored.worker import RequestWorker


class Command(BaseCommand):
    help = (
        "Answers requests to the @responder of this name until it is stopped. On SIGTERM or Ctrl-C "
        "it ends what it is answering, and takes no other; on the second it gives that back. "
        "Several may run side by side, on several hosts: each request goes to one of them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="The responder's, as in @responder(“predict”).")
        parser.add_argument(
            "--processes",
            type=int,
            default=1,
            help="How many requests are answered at a time, each in a process of its own. "
            "Default: %(default)s.",
        )
        parser.add_argument(
            "--max-tasks",
            type=int,
            help="After so many requests a process ends, and another takes its place.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        name, most = options["name"], options["max_tasks"]
        if find_responder(name) is None:
            raise CommandError(f"No app has declared @responder({name!r}) in its realtime.py.")
        if options["processes"] < 1:
            raise CommandError("--processes takes a number of 1 or more.")
        if most is not None and most < 1:
            raise CommandError("--max-tasks takes a number of 1 or more.")
        make = partial(RequestWorker, f"{REQUESTS}{name}", most=most)
        self.stdout.write(f"Answering requests to “{name}”. Stop with Ctrl-C.")
        self.stdout.flush()
        Processes(options["processes"], make, are_replaced=most is not None).run()
