"""The row of a publication that is to be sent."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instant.channels.names import MAX_BYTES

__all__ = ["OutboxRow"]


class OutboxRow(models.Model):
    """
    A publication that is to be sent, written in the transaction of what it tells about.

    A relay, or Centrifugo itself, sends the rows of a partition in the order of their ids and
    deletes them. Rows below partition 0 are none's: what the server refused for good has
    ``-1 - partition``, and what was sent and is kept for a while is in ``KEPT``.
    """

    KEPT = -(2**31)
    """The partition of rows that were sent."""

    id = models.BigAutoField(primary_key=True)
    method = models.CharField(
        pgettext_lazy("outbox", "method"), max_length=20, help_text=_("Of the server's API.")
    )
    payload = models.TextField(
        pgettext_lazy("outbox", "payload"), help_text=_("What the method is called with, as JSON.")
    )
    partition = models.BigIntegerField(
        _("partition"), help_text=_("Below 0 it was refused for good, or sent and kept.")
    )
    namespace = models.CharField(_("namespace"), max_length=MAX_BYTES, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    attempts = models.PositiveIntegerField(
        pgettext_lazy("outbox", "refused"),
        default=0,
        help_text=_("How often the server refused it for good."),
    )
    error = models.TextField(_("error"), blank=True, default="")
    sent_at = models.DateTimeField(pgettext_lazy("outbox", "sent"), null=True, blank=True)

    class Meta:
        """Names, the index by which partitions are read, and who may see what is in a row."""

        app_label = "instant"
        db_table = "instant_outbox"
        verbose_name = _("outbox row")
        verbose_name_plural = _("outbox rows")
        default_permissions = ("change", "delete", "view")
        permissions = (("view_outbox_payload", "Can view the payload of outbox rows"),)
        indexes = (models.Index(fields=["partition", "id"], name="instant_outbox_partition"),)

    def __str__(self) -> str:
        return f"{self.pk}: {self.method} ({self.namespace})"
