"""Make, list and revoke the tokens of workers on other machines."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.stored.responding import find_responder
from instant.stored.worker_token import new_token, own_tokens


class Command(BaseCommand):
    help = (
        "Prints a new token for workers on other machines, which answer requests to one responder: "
        "“manage.py runworker NAME --url …”. It can't be shown again: only its hash is kept."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="The responder's.")
        parser.add_argument("--label", default="", help="Who gets it, for the list.")
        parser.add_argument("--list", action="store_true", help="List the tokens instead.")
        parser.add_argument(
            "--revoke", type=int, metavar="ID", help="Revoke the token with this number instead."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["list"]:
            self._list()
        elif options["revoke"] is not None:
            self._revoke(options["revoke"])
        elif options["name"] is None:
            raise CommandError("Name a responder, or say --list or --revoke ID.")
        else:
            self._make(options["name"], options["label"])

    def _make(self, name: str, label: str) -> None:
        if find_responder(name) is None:
            raise CommandError(f"No app has declared @responder({name!r}) in its realtime.py.")
        row, text = new_token(name, label[:100])
        self.stderr.write(f"Token {row.pk} for “{name}”. Keep it: it can't be shown again.")
        self.stdout.write(text)

    def _list(self) -> None:
        for row in own_tokens():
            used = f"used {row.used_at:%Y-%m-%d %H:%M}" if row.used_at else "never used"
            state = f"revoked {row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else used
            self.stdout.write(f"{row.pk}  {row.responder}  {row.label or '-'}  {state}")

    def _revoke(self, pk: int) -> None:
        row = own_tokens().filter(pk=pk).first()
        if row is None:
            raise CommandError(f"There is no token {pk}.")
        if row.revoked_at is None:
            row.revoke()
        self.stdout.write(f"Token {pk} for “{row.responder}” is revoked.")
