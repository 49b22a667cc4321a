"""The row of a stream, and the pieces of its text."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from instant.channels.names import MAX_BYTES
from instant.fields import NameField

__all__ = ["Stream", "StreamChunk"]


class Stream(models.Model):
    """
    What is written to a channel piece by piece: how far it is, and who writes it.

    Whoever writes holds a lease (``claim``, since ``seen_at``), which they renew. That time is the
    database's: hosts whose clocks differ compare nothing. ``run`` names the text, ``length`` is its
    length as JavaScript counts.
    """

    class State(models.TextChoices):
        """How far it is."""

        WRITING = "writing"
        DONE = "done"
        FAILED = "failed"
        INTERRUPTED = "interrupted"
        CANCELLED = "cancelled"

    id = models.BigAutoField(primary_key=True)
    tenant = models.CharField(max_length=63, blank=True)
    channel = NameField(max_length=MAX_BYTES)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    run = models.CharField(max_length=32)
    claim = models.CharField(max_length=32)
    state = models.CharField(max_length=11, choices=State.choices, default=State.WRITING)
    length = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        """One for each channel of a tenant; found by what nobody writes any more."""

        app_label = "instant"
        db_table = "instant_stream"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["tenant", "channel"], name="instant_stream_one"),
        )
        indexes = (models.Index(fields=["state", "seen_at"], name="instant_stream_seen"),)

    def __str__(self) -> str:
        return f"{self.channel} ({self.state})"


class StreamChunk(models.Model):
    """A piece of a stream's text, from ``start`` to ``end`` as JavaScript counts."""

    id = models.BigAutoField(primary_key=True)
    stream = models.ForeignKey(Stream, models.CASCADE, related_name="chunks", db_index=False)
    start = models.PositiveBigIntegerField()
    end = models.PositiveBigIntegerField()
    text = models.TextField()

    class Meta:
        """In the order of the text, found by where they end."""

        app_label = "instant"
        db_table = "instant_stream_chunk"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["stream", "end"], name="instant_stream_chunk_one"),
        )

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"
