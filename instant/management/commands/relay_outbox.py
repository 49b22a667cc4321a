"""Send the rows of the outbox."""

from __future__ import annotations

import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from instant.exceptions import InstantConfigError, PublishError
from instant.publishing.outbox import consumer, drained_by, is_used, state
from instant.publishing.outbox.relay import Relay
from instant.publishing.outbox.running import namespace_looker, new_looker
from instant.revoking.looker import Looker


class Command(BaseCommand):
    help = (
        "Sends the publications that wait in the outbox, until it is stopped. runws does this in a "
        "thread; this command is for sites where the server is started in another way. Several "
        "may run side by side. Where Centrifugo sends them itself, this lets rows go whose "
        "namespace it has come to know."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="Send what waits now, and end; fail if that fails."
        )
        parser.add_argument(
            "--status",
            action="store_true",
            help="Only count the rows, and fail where one has waited for over a minute.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            if options["status"]:
                self._status()
                return
            if not is_used():
                raise CommandError(
                    'There is no outbox: set INSTANT["BACKEND"] to '
                    "“instant.backends.outbox.OutboxBackend”."
                )
            if drained_by() is not None:
                if options["once"] or consumer() is None:
                    raise CommandError(
                        "Somebody else sends the rows: see INSTANT['OUTBOX_CONSUMER']."
                    )
                self._watch()
                return
            if options["once"]:
                self._once()
                return
        except InstantConfigError as exc:
            raise CommandError(str(exc)) from exc
        self._run()

    def _status(self) -> None:
        found = state.count()
        oldest = (
            "" if found.oldest is None else f", the oldest since {found.oldest:%Y-%m-%d %H:%M:%S}"
        )
        self.stdout.write(f"Waiting: {found.waiting}{oldest}")
        self.stdout.write(f"Set aside: {found.set_aside}")
        self.stdout.write(f"Sent and kept: {found.kept}")
        if found.is_late(timezone.now()):
            self.stderr.write(
                self.style.ERROR(
                    "Rows wait for over a minute: is a relay running, and the server? Does the "
                    "server know their namespaces?"
                )
            )
            sys.exit(1)

    def _once(self) -> None:
        relay = Relay()
        try:
            relay.drain()
        except PublishError as exc:
            raise CommandError(str(exc)) from exc
        finally:
            self.stdout.write(f"Sent: {relay.sent}. Set aside: {relay.set_aside}.")

    def _run(self) -> None:
        self._work(new_looker(Relay(), is_shared=True), "Sending the outbox's rows.")

    def _watch(self) -> None:
        self._work(
            namespace_looker(),
            "Centrifugo sends the outbox's rows. Those of new namespaces wait until it knows them.",
        )

    def _work(self, looker: Looker, what: str) -> None:
        def end(*_: object) -> None:
            looker.end()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        self.stdout.write(f"{what} Stop with Ctrl-C.")
        self.stdout.flush()
        looker.run()
