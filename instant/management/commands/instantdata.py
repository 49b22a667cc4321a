"""Export and erase what is kept about a user."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from instant.exceptions import InstantConfigError
from instant.personal.part import Part, Person
from instant.personal.parts import parts
from instant.personal.person import NotFound, find_person
from instant.tenancy import current as tenancy
from instant.tenancy.hint import naming_the_tenant


class Command(BaseCommand):
    help = (
        "Says what Instant keeps about a user, exports it with --format json, and erases it with "
        "--erase: messages, acknowledgements, notifications, tickets, rows of the outbox, and the "
        "lists of channels. Messages that the user sent to others stay, without a sender, unless "
        "--sent is given. The user stays; so do your own tables."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "user", nargs="?", metavar="USER", help="The user's name, or the primary key."
        )
        parser.add_argument(
            "--pk",
            metavar="KEY",
            help="The primary key instead, also of a user who was deleted already.",
        )
        parser.add_argument(
            "--tenant", metavar="NAME", help="With INSTANT['TENANT']: in this tenant."
        )
        parser.add_argument(
            "--format",
            choices=("text", "json"),
            default="text",
            help="text (default) says how much there is; json prints all of it.",
        )
        parser.add_argument("--erase", action="store_true", help="Erase it.")
        parser.add_argument(
            "--sent", action="store_true", help="With --erase: what they sent to others, too."
        )
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="ask", help="Ask nothing."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if (options["user"] is None) == (options["pk"] is None):
            raise CommandError("Name a user, or say --pk KEY.")
        if options["sent"] and not options["erase"]:
            raise CommandError("--sent is for --erase.")
        try:
            with naming_the_tenant(), tenancy.activate(_tenant(options["tenant"])):
                self._handle(options)
        except (NotFound, InstantConfigError) as exc:
            raise CommandError(str(exc)) from exc

    def _handle(self, options: dict[str, Any]) -> None:
        name, is_key = options["pk"] or options["user"], options["pk"] is not None
        person = find_person(name, is_key=is_key, sent_goes=options["sent"])
        if not options["erase"]:
            self._export(person, parts(), options["format"])
            return
        if options["ask"] and not self._is_sure(person, options["sent"]):
            raise CommandError("Nothing was erased.")
        self._erase(person, parts(), options["format"])

    def _export(self, person: Person, listed: Sequence[Part], how: str) -> None:
        if how == "text":
            self.stdout.write(f"{_called(person)}:")
            for part in listed:
                self.stdout.write(f"  {part.name}: {sum(1 for _ in part.export(person))}")
            return
        self.stdout.write(_opening(person))
        for number, part in enumerate(listed):
            self.stdout.write(f"{',' if number else ''}\n  {_json(part.name)}: [", ending="")
            self._rows(part.export(person))
            self.stdout.write("]", ending="")
        self.stdout.write("\n }\n}")

    def _rows(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write one after the other: there may be more than memory bears."""
        for number, row in enumerate(rows):
            self.stdout.write(f"{',' if number else ''}\n   {_json(row)}", ending="")

    def _is_sure(self, person: Person, sent: bool) -> bool:
        sent_too = ", with what they sent to others" if sent else ""
        self.stderr.write(f"All that Instant keeps about {_called(person)} is erased{sent_too}.")
        for part in parts():
            count = sum(1 for _ in part.export(person))
            what = "stay: " if part.erase is None else ""
            why = f" ({what}{part.becomes})" if part.becomes and count else ""
            self.stderr.write(f"  {part.name}: {count}{why}")
        self.stderr.write("Type “yes” to go on: ", ending="")
        self.stderr.flush()
        try:
            return input() == "yes"
        except EOFError:
            raise CommandError("Nobody answers here: say --noinput.") from None

    def _erase(self, person: Person, listed: Sequence[Part], how: str) -> None:
        erased = {part.name: part.erase(person) for part in listed if part.erase is not None}
        left = {part.name: part.becomes for part in listed if part.erase is None}
        if how == "json":
            told = {"user": _told(person), "erased": erased, "stays": left}
            self.stdout.write(_json(told))
            return
        self.stdout.write(f"{_called(person)}, erased:")
        for name, count in erased.items():
            self.stdout.write(f"  {name}: {count}")
        for name, why in left.items():
            self.stdout.write(f"  {name}: not erased, {why}")


def _tenant(name: str | None) -> str:
    """Return in which tenant it is: the one that is named, or else the current one."""
    if not tenancy.are_used():
        if name is not None:
            raise InstantConfigError("There are no tenants: INSTANT['TENANT'] isn't set.")
        return ""
    if name is None:
        name = tenancy.current()
        if not name:
            # A user of one tenant may be called as another's is.
            raise InstantConfigError("Name the tenant whose user it is: --tenant NAME.")
    elif name not in set(tenancy.every()):
        raise InstantConfigError(f"There is no tenant {name!r}.")
    return name


def _called(person: Person) -> str:
    if person.user is None:
        return f"A user who is deleted (primary key {person.sub})"
    return f"{person.user.get_username()} (primary key {person.sub})"


def _told(person: Person) -> dict[str, Any]:
    name = None if person.user is None else person.user.get_username()
    return {"pk": person.sub, "name": name, "tenant": tenancy.current()}


def _opening(person: Person) -> str:
    return f'{{\n "user": {_json(_told(person))},\n "data": {{'


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
