"""Print what the gateway answers, as an OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import NoReverseMatch, reverse

from instant import conf
from instant.exceptions import InstantConfigError
from instant.inbound.openapi import document

_METHOD = "METHOD"


class Command(BaseCommand):
    help = "Prints an OpenAPI 3.1 document of the methods that the gateway answers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--title", help="The API's name (default: the site's).")
        parser.add_argument(
            "--api-version", default="1", help="The API's version, of which only you know (1)."
        )
        parser.add_argument(
            "--url", default="", help="Where the site is, such as https://example.com."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            if not conf.current().gateway:
                self.stderr.write(
                    self.style.WARNING(
                        'INSTANT["GATEWAY"] is not True: nothing of this is answered yet.'
                    )
                )
            path = reverse("instant:rpc", args=[_METHOD])
        except InstantConfigError as exc:
            raise CommandError(str(exc)) from exc
        except NoReverseMatch as exc:
            raise CommandError(
                'Instant\'s URLs are not there. Add to urls.py: path("instant/", '
                'include("instant.urls"))'
            ) from exc
        made = document(
            path.removesuffix(f"{_METHOD}/"),
            title=options["title"] or conf.site_name(),
            version=options["api_version"],
            server=options["url"].rstrip("/"),
        )
        self.stdout.write(json.dumps(made, indent=2, ensure_ascii=False))
