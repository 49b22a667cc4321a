"""Run the functions that apps have declared with @on_message."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.exceptions import InstantConfigError
from instant.inbound.listening.progress import progress_of
from instant.inbound.listening.running import Runner, channels

_NAME = re.compile(r"[-a-zA-Z0-9_.]{1,64}")


class Command(BaseCommand):
    help = (
        "Runs the functions that apps have declared with @on_message, until it is stopped. What "
        "was published while it was stopped comes first, as far as the server keeps it. Of "
        "several with one name one listens, and another takes over when it ends."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name",
            default="default",
            help="Whose progress it is. Another name gets all messages too (default: default).",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        name = options["name"]
        if not _NAME.fullmatch(name):
            raise CommandError("--name takes up to 64 letters, digits, “-”, “_” and “.”.")
        if not channels():
            raise CommandError(
                "No app listens: declare a function in its realtime.py with @on_message(“order:*”)."
            )
        try:
            asyncio.run(self._run(name))
        except InstantConfigError as exc:
            raise CommandError(str(exc)) from exc

    async def _run(self, name: str) -> None:
        runner = Runner(await asyncio.to_thread(progress_of, name), self._tell)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, runner.end)
        await runner.run()

    def _tell(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
