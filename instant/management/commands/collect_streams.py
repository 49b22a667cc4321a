"""``manage.py collect_streams``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from instant.streams import collect


class Command(BaseCommand):
    """Delete streams that ended long enough ago."""

    help = (
        "Tell pages of streams whose writer died, and delete those that ended more than "
        "INSTANT['STREAM_KEEP'] seconds ago."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Do it, and say how many there were."""
        interrupted, deleted = collect()
        self.stdout.write(f"{interrupted} streams were interrupted, {deleted} old ones deleted.")
