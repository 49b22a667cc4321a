"""Make the follow-up checks that are due after rights were revoked."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.exceptions import InstantConfigError, PublishError
from instant.revoking import follow_up
from instant.revoking.enforce import is_on
from instant.revoking.sweep import Sweep


class Command(BaseCommand):
    help = (
        "Makes the follow-up checks of revoked rights, which are due when old tokens have expired. "
        "Web processes and runws do this in a thread; this command is for sites without either."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--watch", action="store_true", help="Keep running until stopped, and sweep too."
        )
        parser.add_argument(
            "--sweep",
            action="store_true",
            help="Check everybody who is connected now, whatever has changed.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["watch"]:
            if not is_on():
                raise CommandError("No server is reached: there is nothing to enforce.")
            follow_up.new_looker().run()
            return
        if options["sweep"]:
            try:
                self.stdout.write(f"{Sweep().all_at_once()} channels checked.")
            except (PublishError, InstantConfigError) as exc:
                raise CommandError(str(exc)) from exc
        tried, waiting, failed = follow_up.catch_up()
        self.stdout.write(
            f"Checks made: {tried}. Waiting: {waiting} (not due yet, or to be tried again)."
        )
        for tenant, error in failed.items():
            self.stderr.write(self.style.ERROR(f"Not for the tenant {tenant!r}: {error}"))
        if failed:
            sys.exit(1)
