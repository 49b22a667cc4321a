"""Lists that pages show, and who has been given them."""

from __future__ import annotations

from django.db import models

__all__ = ["LiveList", "LiveListReader"]


class LiveList(models.Model):
    """A queryset that pages follow: how it is asked, and which keys it had last, in order."""

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=64)
    tenant = models.CharField(max_length=63, blank=True)
    model = models.CharField(max_length=201)
    """App and name of the model whose changes count."""
    database = models.CharField(max_length=63)
    """The alias of the one that is asked."""
    queryset = models.TextField()
    """The query, signed: see stored_query."""
    row = models.TextField()
    """How a row is made, as JSON."""
    is_public = models.BooleanField(default=False)
    """Whether it is the same for everybody, and for everybody."""
    keys = models.TextField(default="[]")
    """The primary keys, as JSON, as texts."""
    version = models.BigIntegerField(default=0)
    """How often the keys, or what they stand for, have changed; 0: not asked yet."""
    expires_at = models.DateTimeField()

    class Meta:
        """Nobody sees it but us."""

        app_label = "instant"
        db_table = "instant_live_list"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["tenant", "digest"], name="instant_live_list_one"),
        )
        indexes = (
            models.Index(fields=["model", "expires_at"], name="instant_live_list_model"),
            models.Index(fields=["expires_at"], name="instant_live_list_expires"),
        )

    def __str__(self) -> str:
        return f"{self.model} {self.digest[:8]}"


class LiveListReader(models.Model):
    """Who has been given a list by a page, and may follow it."""

    id = models.BigAutoField(primary_key=True)
    list = models.ForeignKey(LiveList, on_delete=models.CASCADE, related_name="readers")
    sub = models.CharField(max_length=255, blank=True)
    """The user's primary key as text; of visitors none."""
    expires_at = models.DateTimeField()

    class Meta:
        """Nobody sees it but us."""

        app_label = "instant"
        db_table = "instant_live_list_reader"
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["list", "sub"], name="instant_live_list_reader_one"),
        )
        indexes = (models.Index(fields=["sub"], name="instant_live_list_sub"),)

    def __str__(self) -> str:
        return f"{self.list_id}: {self.sub}"
