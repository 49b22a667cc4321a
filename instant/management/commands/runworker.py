"""Answer the requests to one responder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from instant.inbound.reserved import REQUESTS
from instant.inbound.tickets.processes import Hopeless, Processes, Runs
from instant.stored.remote_worker import RemoteWorker
from instant.stored.responding import find_responder
from instant.stored.worker import RequestWorker, keep_connections

TOKEN = "INSTANT_WORKER_TOKEN"  # noqa: S105  the name of a variable
"""Not an option: whoever lists processes would read it."""


class Command(BaseCommand):
    help = (
        "Answers requests to the @responder of this name until it is stopped. On SIGTERM or Ctrl-C "
        "it ends what it is answering, and takes no other; on the second it gives that back. "
        "Several may run side by side, on several hosts: each request goes to one of them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="The responder's, as in @responder(“predict”).")
        parser.add_argument(
            "--processes",
            type=int,
            default=1,
            help="How many requests are answered at a time, each in a process of its own. "
            "Default: %(default)s.",
        )
        parser.add_argument(
            "--max-tasks",
            type=int,
            help="After so many requests a process ends, and another takes its place.",
        )

        parser.add_argument(
            "--url",
            help="Answer requests of a site elsewhere, whose database this machine doesn't reach: "
            "the address below which it has instant.urls, such as https://example.com/instant. "
            f"The environment variable {TOKEN} has the token.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        name, most = options["name"], options["max_tasks"]
        handler = find_responder(name)
        if handler is None:
            raise CommandError(f"No app has declared @responder({name!r}) in its realtime.py.")
        if options["processes"] < 1:
            raise CommandError("--processes takes a number of 1 or more.")
        if most is not None and most < 1:
            raise CommandError("--max-tasks takes a number of 1 or more.")
        make: Callable[[int], Runs] = partial(RequestWorker, f"{REQUESTS}{name}", most=most)
        if options["url"] is not None:
            make = partial(RemoteWorker, handler, *_site(options), most=most)
        keep_connections()
        self.stdout.write(f"Answering requests to “{name}”. Stop with Ctrl-C.")
        self.stdout.flush()
        try:
            Processes(options["processes"], make, are_replaced=most is not None).run()
        except Hopeless as exc:
            raise CommandError(str(exc)) from None


def _site(options: Mapping[str, Any]) -> tuple[str, str]:
    """Return address and token of a site elsewhere. Raises CommandError."""
    url = urlsplit(options["url"])
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise CommandError(
            "--url takes the address below which the site has instant.urls, such as "
            "https://example.com/instant."
        )
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise CommandError(
            f"The environment variable {TOKEN} is empty: “manage.py workertoken "
            f"{options['name']}” at the site prints one."
        )
    return options["url"], token
