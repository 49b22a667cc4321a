"""Run the server: Centrifugo if it is installed, otherwise the embedded server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant import conf as instant_conf
from instant.exceptions import InstantConfigError
from instant.server.launch import SERVERS, plan, run
from instant.server.shared import alone, histories, taken_port


class Command(BaseCommand):
    help = "Runs the server: Centrifugo if it is installed, otherwise the embedded server."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--server",
            choices=SERVERS,
            default="auto",
            help="The server to run (default: auto, which is Centrifugo if it is installed).",
        )
        parser.add_argument(
            "--address", help="Listen on this address instead of the config's; 0.0.0.0 for all."
        )
        parser.add_argument("--port", type=int, help="Listen on this port instead of the config's.")
        parser.add_argument(
            "--data",
            type=Path,
            metavar="FILE",
            help="Embedded server only: keep histories in this file when the server restarts.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            conf = instant_conf.current()
            server = plan(
                conf,
                server=options["server"],
                address=options["address"],
                port=options["port"],
                data=options["data"] or histories(conf, options["server"]),
            )
        except InstantConfigError as exc:
            raise CommandError(str(exc)) from exc
        if server.wrote_config:
            self.stdout.write(f"Config written: {conf.config_file}")
        for warning in server.warnings:
            self.stderr.write(self.style.WARNING(warning))
        self.stdout.write(f"{server.title} at {server.where}")
        # From now on the server writes to the same streams, and not through Python's buffers.
        self.stdout.flush()
        self.stderr.flush()
        try:
            with alone(server.folder):
                code = run(server)
        except OSError as exc:
            raise CommandError(f"{server.command[0]} can't be started: {exc.strerror}.") from exc
        if code:
            taken = taken_port(server)
            if taken is not None:
                self.stderr.write(self.style.ERROR(taken))
            sys.exit(code)
