"""Update the server's config to the namespaces that the apps declare."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant import conf as instant_conf
from instant.exceptions import InstantConfigError
from instant.server.sync import CannotReload, Sync, compare, reload, write


class Command(BaseCommand):
    help = "Writes the namespaces in the apps' realtime.py into the server's config."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="Write nothing; print the difference and exit with status 1 if there is one.",
        )
        parser.add_argument(
            "--reload",
            action="store_true",
            help="Tell the server that runws started to reload its config.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            sync = compare(instant_conf.current())
            if options["check"]:
                self.check_only(sync)
                return
            changed = write(sync)
        except InstantConfigError as exc:
            raise CommandError(str(exc)) from exc
        if not changed:
            self.stdout.write(f"Up to date: {sync.path}")
        else:
            self.stdout.write(sync.diff)
            self.stdout.write(self.style.SUCCESS(f"Written: {sync.path}"))
        if options["reload"]:
            try:
                reload(sync)
            except CannotReload as exc:
                raise CommandError(str(exc)) from exc
            self.stdout.write("The running server reloads its config.")
        elif changed:
            how = "Restart" if sync.needs_restart else "Use “syncws --reload” or restart"
            self.stdout.write(f"{how} the server if it is running.")

    def check_only(self, sync: Sync) -> None:
        if sync.changed:
            self.stdout.write(sync.diff)
            self.stderr.write(
                self.style.ERROR("The config is out of date. “manage.py syncws” updates it.")
            )
            sys.exit(1)
        self.stdout.write(f"Up to date: {sync.path}")
