"""Notify people who have no page open."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.exceptions import InstantConfigError
from instant.stored.notifications.running import Notifier, is_used, new_looker
from instant.stored.push import vapid


class Command(BaseCommand):
    help = (
        "Pushes notifications to people who have no page open, and reminds those who have not "
        "read theirs, until it is stopped. runws does this in a thread; this command is for sites "
        "where the server is started in another way. Several may run side by side."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Do what is due now, and end.")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            used, key = is_used(), vapid.public_key()
        except InstantConfigError as exc:
            raise CommandError(str(exc)) from exc
        if not used:
            raise CommandError(
                'Nothing is pushed, and nobody is reminded: set INSTANT["PUSH"] or '
                'INSTANT["REMINDERS"].'
            )
        notifier = Notifier()
        if options["once"]:
            notifier.drain()
            push, reminder = notifier.push, notifier.reminder
            self.stdout.write(
                f"Pushed: {push.sent}, failed: {push.failed}. "
                f"Reminded: {reminder.reminded}, failed: {reminder.failed}."
            )
            return
        if key is None:
            self.stderr.write(self.style.WARNING("Nothing is pushed; reminders are sent."))
        looker = new_looker(notifier, is_shared=True)

        def end(*_: object) -> None:
            looker.end()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        self.stdout.write("Notifying people who have no page open. Stop with Ctrl-C.")
        self.stdout.flush()
        looker.run()
