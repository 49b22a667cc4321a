"""Update the server's config to the namespaces that the apps declare."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from instant import conf as instant_conf
from instant.exceptions import InstantConfigError, PublishError
from instant.publishing.outbox import consumer
from instant.server.balancer import nginx_config
from instant.server.sync import CannotReload, Sync, compare, confirm_namespaces, reload, write

_PATIENCE, _PAUSE = 5.0, 0.1
"""Seconds in which a server has reloaded its config, and between two questions whether it has."""


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

        parser.add_argument(
            "--nginx",
            metavar="FILE",
            help='Write nginx\'s config for INSTANT["POOLS"] into this file (“-” prints it), and '
            "nothing else.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            if options["nginx"]:
                self.write_nginx(options["nginx"])
                return
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
        if consumer() is not None:
            self.confirm(sync, patience=_PATIENCE if options["reload"] else 0)

    def write_nginx(self, file: str) -> None:
        """Write what nginx needs; it reads it when it is told to reload."""
        text = nginx_config(instant_conf.current())
        if file == "-":
            self.stdout.write(text, ending="")
            return
        path = Path(file)
        try:
            if path.exists() and path.read_text() == text:
                self.stdout.write(f"Up to date: {path}")
                return
            path.write_text(text)
        except OSError as exc:
            raise CommandError(f"{path} can't be written: {exc.strerror}.") from exc
        self.stdout.write(self.style.SUCCESS(f"Written: {path}"))
        self.stdout.write("Include it in nginx's “http” block, and reload nginx.")

    def confirm(self, sync: Sync, patience: float) -> None:
        """Let the outbox's rows go whose namespace the server knows by now."""
        deadline = time.monotonic() + patience
        try:
            while (unknown := confirm_namespaces(sync)) and time.monotonic() < deadline:
                time.sleep(_PAUSE)
        except (DatabaseError, InstantConfigError, PublishError) as exc:
            self.stderr.write(
                self.style.WARNING(f"The server was not asked which namespaces it knows: {exc}")
            )
            return
        if unknown:
            self.stdout.write(
                f"The outbox's rows of these namespaces wait until the server knows them: "
                f"{', '.join(unknown)}."
            )

    def check_only(self, sync: Sync) -> None:
        if sync.changed:
            self.stdout.write(sync.diff)
            self.stderr.write(
                self.style.ERROR("The config is out of date. “manage.py syncws” updates it.")
            )
            sys.exit(1)
        self.stdout.write(f"Up to date: {sync.path}")
