"""The row of those who listen under a name."""

from __future__ import annotations

from django.db import models

__all__ = ["Listener"]


class Listener(models.Model):
    """How far those who listen under a name have come, and which process does; no row on SQLite."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    positions = models.JSONField(default=dict)

    class Meta:
        """Nobody sees it but us."""

        app_label = "instant"
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
