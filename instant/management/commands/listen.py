"""Print what is published to a channel."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.exceptions import InstantConfigError
from instant.rights.accounts import UnknownUser, find_user
from instant.server.listen import ListenError, listen
from instant.tenancy import current as tenancy
from instant.tenancy.hint import naming_the_tenant


class Command(BaseCommand):
    help = (
        "Prints what is published to a channel, one JSON value a line, until Ctrl-C. It asks the "
        "channel's rule and connects to the server as a page of that user would."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("channel", help="The channel to listen to.")
        parser.add_argument(
            "--as",
            dest="user",
            metavar="USER",
            default="anonymous",
            help="Listen as the user with this user name (default: anonymous, a visitor who "
            "isn't logged in).",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            with naming_the_tenant(), contextlib.suppress(KeyboardInterrupt):
                user = find_user(options["user"])
                # On the event loop no connection to a database says it.
                asyncio.run(self.print_all(user, options["channel"], tenancy.current()))
        except (UnknownUser, ListenError, InstantConfigError) as exc:
            raise CommandError(str(exc)) from exc

    async def print_all(self, user: Any, channel: str, tenant: str = "") -> None:
        async for data in listen(user, channel, self.tell, tenant):
            self.stdout.write(json.dumps(data, ensure_ascii=False))
            self.stdout.flush()

    def tell(self, text: str) -> None:
        """Write it beside the messages, which a pipe may carry on."""
        self.stderr.write(text)
        self.stderr.flush()
