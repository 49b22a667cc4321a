"""``manage.py collect_messages``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.exceptions import InstantConfigError
from instant.messages import collect
from instant.stored import background


class Command(BaseCommand):
    """Delete stored messages that need no longer be kept."""

    help = "Delete stored messages that every reader acknowledged, or that are kept long enough."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the option."""
        parser.add_argument(
            "--enqueue",
            action="store_true",
            help="Let a worker of Celery or of Django's tasks do it, as JOBS says.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Delete, and say how many; or let somebody do it."""
        if options["enqueue"]:
            try:
                background.enqueue()
            except (InstantConfigError, ImportError) as exc:
                raise CommandError(str(exc)) from None
            self.stdout.write("A worker was told.")
            return
        self.stdout.write(f"{collect()} stored messages were deleted.")
