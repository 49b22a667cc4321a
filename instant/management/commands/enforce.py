"""Make the follow-up checks that are due: rights that ended, enforced once more."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from instant.models import Revocation
from instant.revoking import run
from instant.revoking.thread import Worker


class Command(BaseCommand):
    help = (
        "Enforces once more what was taken away, when no old token is valid any more. Web "
        "processes and runws do it by themselves; this is for sites where neither has threads."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--watch",
            type=float,
            nargs="?",
            const=1.0,
            metavar="SECONDS",
            help="Go on, and look every so many seconds (1).",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if not options["watch"]:
            tried = 0
            while count := run.follow_up():
                tried += count
            waiting = Revocation.objects.count()
            self.stdout.write(f"{tried} tried; {waiting} waiting: not due yet, or tried again.")
            return
        worker = Worker(run.look)
        while True:
            worker.look()  # logs what fails: a database that is away comes back
            time.sleep(options["watch"])
