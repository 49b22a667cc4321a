"""Publish a message to a channel."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.exceptions import InstantConfigError, PublishError
from instant.producers import publish
from instant.rights.refusals import refusals
from instant.tenancy import current as tenancy


class Command(BaseCommand):
    help = "Publishes a message to a channel, as publish() does."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("channel", help="The channel to publish to.")
        parser.add_argument("message", nargs="?", help="The message; may be left out with --data.")
        parser.add_argument("--data", metavar="JSON", help="The data of the publication.")
        parser.add_argument("--event-class", metavar="NAME", help="The class of the event.")

    def handle(self, *_args: Any, **options: Any) -> None:
        channel = options["channel"]
        try:
            data = None if options["data"] is None else json.loads(options["data"])
        except ValueError as exc:
            raise CommandError(f"--data is not JSON: {exc}.") from exc
        try:
            publish(
                channel,
                options["message"],
                data=data,
                event_class=options["event_class"],
                on_commit=False,
            )
        except (PublishError, InstantConfigError, ValueError, TypeError) as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(f"Published to {channel!r}.")
        self.warn(channel)

    def warn(self, channel: str) -> None:
        """Say that nobody can be in the channel, which the server doesn't know."""
        if tenancy.are_used() and not tenancy.current():
            text = "No tenant was active: it was published to the shared part of the site."
            self.stderr.write(self.style.WARNING(text))
            return  # which may have no table of channels
        refusal = refusals(AnonymousUser(), [channel])[channel]
        if refusal.cause in {"missing", "misspelt", "inactive"}:
            text = f"Nobody can subscribe to it: {refusal.why}. {refusal.remedy}"
            self.stderr.write(self.style.WARNING(text))
