"""``manage.py collect_messages``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from instant.messages import collect


class Command(BaseCommand):
    """Delete stored messages that need no longer be kept."""

    help = "Delete stored messages that every reader acknowledged, or that are kept long enough."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Delete, and say how many."""
        self.stdout.write(f"{collect()} stored messages were deleted.")
