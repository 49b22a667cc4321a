"""The rows of messages that wait for their readers, and of who has acknowledged them."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instant.channels.names import MAX_BYTES
from instant.fields import NameField
from instant.stored import deleting

__all__ = ["Acknowledgement", "Message"]


class Message(models.Model):
    """
    A publication that is kept until its readers acknowledged it, as the channel's rule says.

    Written in the transaction of the publish. Its order is that of ``id``. JSON is kept as
    text: PostgreSQL's ``jsonb`` takes no NUL character, and nobody searches in it.
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(
        _("UUID"), editable=False, help_text=_("The publication's id, which pages know.")
    )
    tenant = models.CharField(_("tenant"), max_length=63, blank=True)
    channel = NameField(
        pgettext_lazy("message", "channel"),
        max_length=MAX_BYTES,
        help_text=_("Its name when it was published."),
    )
    row = models.ForeignKey(
        "instant.Channel",
        deleting.messages,
        null=True,
        blank=True,
        related_name="messages",
        verbose_name=_("channel's row"),
        help_text=_("Empty for a channel of a namespace, or a user's own."),
    )
    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("sender"),
        help_text=_("Empty for what Python code published, and for users who were deleted."),
    )
    context = models.TextField(
        _("context"), blank=True, help_text=_("What the sender wants to have back, as JSON.")
    )
    content = models.TextField(
        pgettext_lazy("message", "content"), help_text=_("What subscribers receive, as JSON.")
    )
    is_reply = models.BooleanField(pgettext_lazy("message", "reply"), default=False)
    request = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="answers",
        verbose_name=_("request"),
        help_text=_("What it replies to, for as long as that is kept."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, db_index=True)

    class Meta:
        """Names, order, the indexes by which readers find theirs, and who may see the content."""

        app_label = "instant"
        db_table = "instant_message"
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ("id",)
        default_permissions = ("change", "delete", "view")
        permissions = (("view_message_content", "Can view the content of stored messages"),)
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "channel", "uuid"), name="instant_message_once"
            ),
        )
        indexes = (
            models.Index(fields=["tenant", "channel", "id"], name="instant_message_channel"),
            models.Index(fields=["uuid"], name="instant_message_uuid"),
        )

    def __str__(self) -> str:
        return f"{self.channel}: {self.uuid.hex}"

    @property
    def name(self) -> str:
        """The channel's name as it is now: a row may have got another."""
        return self.channel if self.row is None else self.row.name

    @property
    def payload(self) -> Any:
        """What subscribers receive: channel, site, message, data, event_class, bucket, id."""
        return json.loads(self.content)


class Acknowledgement(models.Model):
    """That a user has dealt with a message."""

    id = models.BigAutoField(primary_key=True)
    message = models.ForeignKey(
        Message,
        deleting.acknowledgements,
        related_name="acknowledgements",
        verbose_name=_("message"),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        deleting.acknowledgements,
        related_name="+",
        verbose_name=_("user"),
    )
    created_at = models.DateTimeField(_("acknowledged"), default=timezone.now)

    class Meta:
        """Names; one of a user and message."""

        app_label = "instant"
        db_table = "instant_acknowledgement"
        verbose_name = _("acknowledgement")
        verbose_name_plural = _("acknowledgements")
        default_permissions = ("view",)
        constraints = (
            models.UniqueConstraint(fields=("message", "user"), name="instant_acknowledged_once"),
        )

    def __str__(self) -> str:
        return f"{self.message_id}: {self.user_id}"
