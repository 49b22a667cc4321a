"""Make a key for web push."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from instant.stored.push import vapid


class Command(BaseCommand):
    help = "Makes a key for INSTANT['PUSH'], and prints it. It is written nowhere."
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        if not vapid.is_installed():
            raise CommandError("Web push needs an extra: pip install 'django-instant[push]'.")
        self.stdout.write(
            "Keep this key secret, and keep it: with another one every browser has to subscribe "
            "again.\n\n"
            f'INSTANT["PUSH"] = {{"PRIVATE_KEY": "{vapid.new_key()}", '
            '"CONTACT": "mailto:you@example.com"}'
        )
