"""Print all channels, or what a user may do in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.exceptions import InstantConfigError
from instant.rights import explain
from instant.rights.accounts import UnknownUser, find_user
from instant.tenancy.hint import naming_the_tenant


class Command(BaseCommand):
    help = "Prints all channels with their rule, rights and delivery, and where they are declared."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "channels", nargs="*", help="With --for: only these channels (default: all)."
        )
        parser.add_argument(
            "--for",
            dest="user",
            help="Print what the user with this user name may do, and why; “anonymous” is a "
            "visitor who isn't logged in.",
        )

        parser.add_argument(
            "--rows",
            action="store_true",
            help=f"Name every row, also where there are more than {explain.ROWS}.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            with naming_the_tenant():
                self.print_all(options)
        except (UnknownUser, InstantConfigError) as exc:
            raise CommandError(str(exc)) from exc

    def print_all(self, options: dict[str, Any]) -> None:
        if options["user"] is None:
            if options["channels"]:
                raise CommandError("Name a user: add “--for USER”.")
            lines = [("channels", "who may subscribe", "more rights", "delivery", "declared in")]
            lines += [astuple(kind) for kind in explain.kinds(all_rows=options["rows"])]
            write_table(self, lines)
            return
        user = find_user(options["user"])
        reasons = explain.reasons(user, options["channels"])
        write_table(self, [("channel", "may", "because of"), *map(astuple, reasons)])


def write_table(command: BaseCommand, lines: Sequence[tuple[str, ...]]) -> None:
    """Write lines of cells below each other; the first is the heading."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        text = "  ".join(cells).rstrip()
        command.stdout.write(command.style.MIGRATE_HEADING(text) if number == 0 else text)
