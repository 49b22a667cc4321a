"""Make the follow-up checks that are due after rights were revoked."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from instant.models import Revocation
from instant.revoking import follow_up
from instant.revoking.thread import Worker


class Command(BaseCommand):
    help = (
        "Makes the follow-up checks of revoked rights, which are due when old tokens have expired. "
        "Web processes and runws do this in a thread; this command is for sites without either."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--watch",
            type=float,
            nargs="?",
            const=1.0,
            metavar="SECONDS",
            help="Keep running, and look again after so many seconds (default: 1).",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if not options["watch"]:
            tried = 0
            while count := follow_up.follow_up():
                tried += count
            waiting = Revocation.objects.count()
            self.stdout.write(
                f"Checks made: {tried}. Waiting: {waiting} (not due yet, or to be tried again)."
            )
            return
        worker = Worker(follow_up.look)
        while True:
            worker.look()  # logs errors and goes on: the database may only be restarting
            time.sleep(options["watch"])
