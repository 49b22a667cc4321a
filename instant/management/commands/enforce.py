"""Make the second passes that are due: rights that ended, enforced once more."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from instant import revocations
from instant.models import Revocation


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
            const=2.0,
            metavar="SECONDS",
            help="Go on, and look every so many seconds (2).",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        made = revocations.run_due()
        while options["watch"]:
            time.sleep(options["watch"])
            made += revocations.run_due()
        waiting = Revocation.objects.count()
        self.stdout.write(f"{made} made, {waiting} not due yet or to be tried again.")
