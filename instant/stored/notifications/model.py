"""Whose notification a message is, and what is still to be done for it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from instant.stored import deleting
from instant.stored.model import Message

__all__ = ["Notification"]


class Notification(models.Model):
    """
    A message in somebody's own channel that waits until they have read it.

    What it says is the message's content; it is read once its user has acknowledged it.
    """

    message = models.OneToOneField(
        Message,
        deleting.acknowledgements,
        primary_key=True,
        related_name="notification",
        verbose_name=_("message"),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, deleting.notifications, related_name="+", verbose_name=_("user")
    )

    remind_at = models.DateTimeField(
        null=True, blank=True, editable=False, db_index=True, verbose_name=_("reminder due")
    )
    """When its user is reminded of it; of one that is claimed, when the claim is over."""
    remind_claim = models.CharField(max_length=32, blank=True, default="", editable=False)
    remind_attempts = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        """Names, and order: newest first."""

        app_label = "instant"
        db_table = "instant_notification"
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        ordering = ("-message",)
        default_permissions = ("view",)

    def __str__(self) -> str:
        return str(self.message)
