"""The row of rights that ended a moment ago."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

__all__ = ["Revocation"]


class Revocation(models.Model):
    """
    Rights that ended a moment ago, and have to be enforced once more.

    Written in the transaction that ends them, so that neither is there without the other. A
    token that was issued just before can be used for ``TOKEN_USE`` seconds after it: when
    those are over, whoever comes first enforces the loss again and deletes the row.
    """

    loss = models.JSONField(
        pgettext_lazy("revocation", "affected"), help_text=_("Whom and what to look at again.")
    )
    created_at = models.DateTimeField(_("created"))
    due_at = models.DateTimeField(
        pgettext_lazy("revocation", "due"),
        db_index=True,
        help_text=_("Until then somebody works on it, or it is not time yet."),
    )
    is_last = models.BooleanField(
        _("follow-up check"),
        default=False,
        help_text=_("When it is due, no token from before the change can be used."),
    )
    attempts = models.PositiveIntegerField(_("failed attempts"), default=0)
    claim = models.CharField(
        pgettext_lazy("revocation", "claim"),
        max_length=32,
        blank=True,
        db_index=True,
        help_text=_("Who works on it."),
    )

    class Meta:
        """Names."""

        app_label = "instant"
        verbose_name = _("revocation")
        verbose_name_plural = _("revocations")

    def __str__(self) -> str:
        return f"{self.loss} ({self.due_at:%Y-%m-%d %H:%M:%S})"
