"""Ask channels whether somebody is there."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from instant.inbound.tickets.between_jobs import close_old_connections
from instant.stored.pinging import ping_every_tenants


class Command(BaseCommand):
    help = (
        "Pings the channels that answer pings, so that their status is known for two minutes. Run "
        "it every minute, or with --every 60. Where nobody does the status is unknown."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--every", type=float, metavar="SECONDS", help="Go on until stopped, so often."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        every = options["every"]
        if every is not None and every <= 0:
            raise CommandError("--every takes a number of seconds above 0.")
        if every is None:
            if not self._ping():
                sys.exit(1)
            return
        try:
            while True:
                self._ping()
                time.sleep(every)
        except KeyboardInterrupt:
            return

    def _ping(self) -> bool:
        close_old_connections()  # the database may have been restarted since
        try:
            count, failed = ping_every_tenants()
        except (DatabaseError, InterfaceError) as exc:  # so that nobody knows the tenants
            count, failed = 0, {"": exc}
        self.stdout.write(f"Pinged: {count}.")
        self.stdout.flush()
        for tenant, error in failed.items():
            of = f" for the tenant {tenant!r}" if tenant else ""
            self.stderr.write(self.style.ERROR(f"Not pinged{of}: {error}"))
        return not failed
