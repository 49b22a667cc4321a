"""Browsers that are to be notified, and what waits to be pushed to them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from instant.stored.model import Message

__all__ = ["PushSubscription", "QueuedPush"]


class PushSubscription(models.Model):
    """
    A browser in which a user wants to be notified, for as long as their session lasts there.

    Its address and keys come from the browser. Whoever has them can wake its service worker, which
    then asks Django, in the user's session, what there is.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = models.CharField(_("tenant"), max_length=63, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user")
    )
    endpoint = models.TextField(_("address"), help_text=_("Of a push service."))
    digest = models.CharField(max_length=64, editable=False)
    p256dh = models.CharField(max_length=100, editable=False)
    auth = models.CharField(max_length=32, editable=False)
    session = models.CharField(max_length=32, db_index=True, editable=False)
    """What the session calls itself, which outlives a new session key and ends with a logout."""
    auth_hash = models.TextField(blank=True, editable=False)
    """What Django's sessions end with: another one where the password has changed."""
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    renewed_at = models.DateTimeField(_("renewed"), default=timezone.now)

    class Meta:
        """Names; one of an address."""

        app_label = "instant"
        db_table = "instant_push_subscription"
        verbose_name = _("push subscription")
        verbose_name_plural = _("push subscriptions")
        default_permissions = ("delete", "view")
        constraints = (
            models.UniqueConstraint(fields=("tenant", "digest"), name="instant_push_once"),
        )

    def __str__(self) -> str:
        return f"{self.user_id}: {self.endpoint[:40]}"

    @property
    def browser(self) -> dict[str, Any]:
        """What messages to it are encrypted with."""
        keys = {"p256dh": self.p256dh, "auth": self.auth}
        return {"endpoint": self.endpoint, "keys": keys}


class QueuedPush(models.Model):
    """A notification that is to be pushed to a browser, written in its transaction."""

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(
        PushSubscription, models.CASCADE, related_name="queue", verbose_name=_("push subscription")
    )
    message = models.ForeignKey(
        Message, models.CASCADE, related_name="+", verbose_name=_("message")
    )
    due_at = models.DateTimeField(_("due"), default=timezone.now, db_index=True)
    """When somebody has to look again; of one that is claimed, when the claim is over."""
    claim = models.CharField(max_length=32, blank=True, editable=False, db_index=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        """Names."""

        app_label = "instant"
        db_table = "instant_push"
        verbose_name = _("queued push")
        verbose_name_plural = _("queued pushes")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.message_id} → {self.subscription_id}"
