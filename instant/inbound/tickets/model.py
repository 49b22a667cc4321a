"""The row of a queued call."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instant.inbound.reserved import REQUESTS

__all__ = ["Ticket", "new_id"]


def new_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_urlsafe(24)


class Ticket(models.Model):
    """
    A call that was put off: what was asked and by whom, how far it is, and how it ended.

    Whoever runs it holds a lease on it (``claim``, until ``due_at``), which they renew. JSON is
    kept as text: PostgreSQL's ``jsonb`` takes no NUL character, and nobody searches in it.
    """

    class State(models.TextChoices):
        """How far it is."""

        QUEUED = "queued", pgettext_lazy("ticket", "queued")
        RUNNING = "running", pgettext_lazy("ticket", "running")
        DONE = "done", pgettext_lazy("ticket", "done")
        FAILED = "failed", pgettext_lazy("ticket", "failed")
        CANCELLED = "cancelled", pgettext_lazy("ticket", "cancelled")

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    method = models.CharField(pgettext_lazy("ticket", "method"), max_length=128)
    data = models.TextField(_("arguments"), blank=True, help_text=_("What the caller sent, JSON."))
    tenant = models.CharField(_("tenant"), max_length=63, blank=True)
    owner = models.CharField(
        pgettext_lazy("ticket", "user"),
        max_length=255,
        blank=True,
        db_index=True,
        help_text=_("The primary key of whoever called; empty for an anonymous visitor."),
    )
    holder = models.CharField(
        pgettext_lazy("ticket", "holder"),
        max_length=64,
        blank=True,
        help_text=_("The session or the connection of an anonymous visitor."),
    )
    caller = models.TextField(
        pgettext_lazy("ticket", "caller"), blank=True, help_text=_("The connection, as JSON.")
    )
    language = models.CharField(_("language"), max_length=32, blank=True)
    queue = models.CharField(pgettext_lazy("ticket", "queue"), max_length=64)
    priority = models.SmallIntegerField(
        _("priority"), default=0, help_text=_("The higher one goes first.")
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.QUEUED)
    progress = models.TextField(_("progress"), blank=True, help_text=_("JSON."))
    message = models.TextField(pgettext_lazy("ticket", "message"), blank=True)
    result = models.TextField(_("result"), blank=True, help_text=_("JSON."))
    code = models.PositiveSmallIntegerField(_("error code"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    claim = models.CharField(
        pgettext_lazy("ticket", "claim"),
        max_length=32,
        blank=True,
        help_text=_("Who works on it."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True, db_index=True)
    due_at = models.DateTimeField(
        pgettext_lazy("ticket", "due"),
        null=True,
        blank=True,
        db_index=True,
        help_text=_(
            "When somebody has to look at it again: its lease is over, or nobody was told."
        ),
    )
    expires_at = models.DateTimeField(
        pgettext_lazy("ticket", "expires"),
        null=True,
        blank=True,
        db_index=True,
        help_text=_("Of a request: when nobody waits for it, or needs its answer, any more."),
    )
    asked = models.BigIntegerField(
        pgettext_lazy("ticket", "message"),
        null=True,
        blank=True,
        help_text=_("Of a request that is stored: the key of its message."),
    )

    class Meta:
        """Names, the indexes by which the next one is found, and who may see what is in a row."""

        app_label = "instant"
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        default_permissions = ("change", "delete", "view")
        permissions = (("view_ticket_content", "Can view the arguments and results of tickets"),)
        indexes = (
            models.Index(fields=["state", "-priority", "created_at"], name="instant_ticket_next"),
            models.Index(
                fields=["state", "queue", "-priority", "created_at"], name="instant_ticket_queue"
            ),
        )

    def __str__(self) -> str:
        return f"{self.method} ({self.state})"

    @property
    def is_request(self) -> bool:
        """Whether a responder answers it, and no handler with a queue."""
        return self.queue.startswith(REQUESTS)

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state not in {self.State.QUEUED, self.State.RUNNING}
