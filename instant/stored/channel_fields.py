"""What a row of ``Channel`` says of its stored messages, its status, and who may see that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instant.stored.availability import Availability, availability

if TYPE_CHECKING:
    from instant.stored.rules import Effective

__all__ = ["StoredChannel"]


class StoredChannel(models.Model):
    """The columns that ``Channel`` has for it."""

    class Store(models.TextChoices):
        """How long its messages are stored."""

        DISABLED = "disabled", _("Not at all")
        CACHE = "cache", _("Until one reader acknowledged them")
        CACHEALL = "cacheall", _("Until every reader acknowledged them")
        STORE = "store", _("For ever")

    class StatusLevel(models.TextChoices):
        """Who may see whether anybody answers."""

        NOBODY = "nobody", _("Nobody")
        SUBSCRIBERS = "subscribers", _("Whoever may subscribe")
        LISTED = "listed", _("Listed groups and users")
        STAFF = "staff", _("Staff")
        SUPERUSER = "superuser", _("Superuser")

    store = models.CharField(
        _("messages are stored"),
        max_length=10,
        choices=Store.choices,
        blank=True,
        default="",
        help_text=_("Empty: as INSTANT[“STORE”] says."),
    )
    status_level = models.CharField(
        _("may see the status"),
        max_length=20,
        choices=StatusLevel.choices,
        default=StatusLevel.STAFF,
        help_text=_("Who may see whether anybody answers."),
    )
    status_groups = models.ManyToManyField(
        Group,
        blank=True,
        related_name="+",
        verbose_name=_("groups that may see the status"),
        help_text=_("Counts where listed groups and users may see it."),
    )
    status_viewers = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="+",
        verbose_name=_("users who may see the status"),
        help_text=_("Counts where listed groups and users may see it."),
    )
    answers_pings = models.BooleanField(
        _("answers pings"),
        default=False,
        help_text=_("Whether a reader answers when it is asked if it is there."),
    )
    last_ping = models.DateTimeField(
        pgettext_lazy("channel", "last ping"), null=True, blank=True, editable=False
    )
    last_pong = models.DateTimeField(
        pgettext_lazy("channel", "last answer"), null=True, blank=True, editable=False
    )

    class Meta:
        """No table of its own."""

        abstract = True

    @property
    def effective_store(self) -> Effective:
        """The rule in force, and why."""
        from instant.stored.rules import of_row  # noqa: PLC0415  it reads the settings

        return of_row(self.store)

    @property
    def availability(self) -> Availability:
        """Whether somebody answers: “unknown”, “offline” or “online”, by pings of two minutes."""
        return availability(self, timezone.now())
