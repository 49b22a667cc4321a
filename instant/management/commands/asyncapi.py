"""Print the channels and their events, as an AsyncAPI document."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from instant import conf
from instant.schemas.asyncapi import document


class Command(BaseCommand):
    help = "Prints an AsyncAPI 3.0 document of the namespaces and their events."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--title", help="The API's name (default: the site's).")
        parser.add_argument(
            "--api-version", default="1", help="The API's version, of which only you know (1)."
        )
        parser.add_argument(
            "--url",
            default="",
            help="Where browsers find the message server, such as wss://example.com/connection/websocket.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        protocol, _, host = options["url"].rpartition("://")
        made = document(
            title=options["title"] or conf.site_name(),
            version=options["api_version"],
            host=host.rstrip("/"),
            protocol=protocol or "wss",
        )
        self.stdout.write(json.dumps(made, indent=2, ensure_ascii=False))
