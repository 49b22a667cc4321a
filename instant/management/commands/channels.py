"""Print which channels there are, or what one person may subscribe to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.management import catalogue


class Command(BaseCommand):
    help = "Prints the catalogue of channels: pattern, who may subscribe, delivery, where declared."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--for", dest="user", help="What this user (by user name) may subscribe to, and why."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["user"] is None:
            lines = [("channels", "who may subscribe", "delivery", "declared in")]
            lines += [(k.pattern, k.rule, k.delivery, k.place) for k in catalogue.kinds()]
            self.table(lines)
            return
        model = get_user_model()
        try:
            user = model.objects.get_by_natural_key(options["user"])
        except model.DoesNotExist as exc:
            raise CommandError(f"There is no user {options['user']!r}.") from exc
        self.table([("channel", "because of"), *catalogue.reasons(user)])

    def table(self, lines: Sequence[tuple[str, ...]]) -> None:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for number, line in enumerate(lines):
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            text = "  ".join(cells).rstrip()
            self.stdout.write(self.style.MIGRATE_HEADING(text) if number == 0 else text)
