"""Run the jobs of queued calls."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.inbound.tickets.processes import Processes
from instant.inbound.tickets.worker import Worker


class Command(BaseCommand):
    help = (
        "Runs the jobs of handlers with queue=, the most urgent first, until it is stopped. On "
        "SIGTERM or Ctrl-C it ends the jobs that are running, and takes no other; on the second it "
        "gives them back. Several may run side by side, on several hosts."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--queue",
            action="append",
            default=[],
            help="Run jobs of this queue only. May be given several times.",
        )
        parser.add_argument(
            "--processes",
            type=int,
            default=1,
            help="How many jobs run at a time, each in a process of its own. Default: %(default)s.",
        )
        parser.add_argument("--once", action="store_true", help="Run what waits now, and end.")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["processes"] < 1:
            raise CommandError("--processes takes a number of 1 or more.")
        if options["once"]:
            worker = Worker(options["queue"])
            worker.drain()
            self.stdout.write(f"Ran: {worker.ran}.")
            return
        which = f"queue {', '.join(options['queue'])}" if options["queue"] else "all queues"
        self.stdout.write(f"Running the jobs of {which}. Stop with Ctrl-C.")
        self.stdout.flush()
        Processes(options["processes"], partial(Worker, options["queue"])).run()
