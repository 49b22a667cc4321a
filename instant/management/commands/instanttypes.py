"""Write what Python declares as types of the browser client."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.schemas.document import typescript


class Command(BaseCommand):
    help = (
        "Writes the events of the namespaces, and the methods that pages call, as a TypeScript "
        "module for the browser client."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            nargs="?",
            type=Path,
            help="The file, such as js/instant.d.ts (default: prints it).",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="Write nothing; exit with 1 where the file is another.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        file: Path | None = options["file"]
        if options["check"] and file is None:
            raise CommandError("Name the file that is to be checked.")
        made = typescript()
        if file is None:
            self.stdout.write(made, ending="")
            return
        try:
            there = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            there = None
        except (OSError, UnicodeDecodeError) as exc:
            raise CommandError(f"{file} can't be read: {exc}") from exc
        if there == made:
            self.stdout.write(f"{file} is as Python declares.")
        elif options["check"]:
            self.stderr.write(
                f"{file} is not as Python declares: run “manage.py instanttypes {file}”."
            )
            sys.exit(1)
        else:
            try:
                file.write_text(made, encoding="utf-8")
            except OSError as exc:
                raise CommandError(f"{file} can't be written: {exc}") from exc
            self.stdout.write(f"Wrote {file}.")
