"""The channels that people manage; and the tables of the rooms, each with what works on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from instant.channels.names import MAX_BYTES, USER_NAMESPACE, check_row_name
from instant.exceptions import InvalidChannelName
from instant.fields import NameField
from instant.inbound.listening.model import Listener
from instant.inbound.tickets.model import Ticket
from instant.inbound.tickets.seen import WorkerSeen
from instant.namespaces import row_namespaces
from instant.pages.lists.model import LiveList, LiveListReader
from instant.publishing.outbox.model import OutboxRow
from instant.revoking.model import Revocation
from instant.stored.availability import condition
from instant.stored.channel_fields import StoredChannel
from instant.stored.model import Acknowledgement, Message
from instant.stored.notifications.model import Notification
from instant.stored.push.model import PushSubscription, QueuedPush
from instant.stored.worker_token import WorkerToken
from instant.streaming.model import Stream, StreamChunk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "Acknowledgement",
    "Channel",
    "Listener",
    "LiveList",
    "LiveListReader",
    "Message",
    "Notification",
    "OutboxRow",
    "PushSubscription",
    "QueuedPush",
    "Revocation",
    "Stream",
    "StreamChunk",
    "Ticket",
    "WorkerSeen",
    "WorkerToken",
    "validate_name",
]

channels_created = Signal()
"""Sent after bulk_create(), for which Django sends nothing. Private."""


def validate_name(name: str) -> None:
    """Raise ValidationError where the server would not take the name for a channel row."""
    try:
        check_row_name(name, row_namespaces())
    except InvalidChannelName as exc:
        raise ValidationError(_(exc.template), code="invalid", params=exc.params or None) from exc


class _ChannelQuerySet(models.QuerySet["Channel"]):
    def bulk_create(self, objs: Iterable[Channel], *args: Any, **kwargs: Any) -> list[Channel]:
        created = super().bulk_create(objs, *args, **kwargs)
        channels_created.send(Channel)
        return created

    def online(self) -> _ChannelQuerySet:
        """Return those on which somebody answers, see ``Channel.availability``."""
        return self.filter(condition("online", timezone.now()))

    def offline(self) -> _ChannelQuerySet:
        """Return those on which nobody answered the last ping."""
        return self.filter(condition("offline", timezone.now()))

    def unknown(self) -> _ChannelQuerySet:
        """Return those that answer no pings, or were not pinged in the last two minutes."""
        return self.filter(condition("unknown", timezone.now()))


class Channel(StoredChannel):
    """
    A channel, who may subscribe to it, and who may do more.

    The name of a channel that isn't public begins with ``$``, for which the server demands a
    token even where its config is careless; that of a public one doesn't.
    """

    class Level(models.TextChoices):
        """Who may subscribe."""

        PUBLIC = "public", _("Public")
        USERS = "users", _("Users")
        GROUPS = "groups", _("Groups")
        STAFF = "staff", _("Staff")
        SUPERUSER = "superuser", _("Superuser")

    class PublishLevel(models.TextChoices):
        """Who may publish from the browser."""

        NOBODY = "nobody", _("Nobody")
        SUBSCRIBERS = "subscribers", _("Whoever may subscribe")
        LISTED = "listed", _("Listed groups and users")
        STAFF = "staff", _("Staff")
        SUPERUSER = "superuser", _("Superuser")

    class PresenceLevel(models.TextChoices):
        """Who may see who is subscribed."""

        NOBODY = "nobody", _("Nobody")
        SUBSCRIBERS = "subscribers", _("Whoever may subscribe")
        STAFF = "staff", _("Staff")
        SUPERUSER = "superuser", _("Superuser")

    name = NameField(
        _("name"),
        max_length=MAX_BYTES,
        unique=True,
        validators=[validate_name],
        help_text=_("A channel that isn't public begins with $."),
    )
    level = models.CharField(
        _("authorized for"),
        max_length=20,
        choices=Level.choices,
        default=Level.SUPERUSER,
    )
    groups = models.ManyToManyField(
        Group,
        blank=True,
        verbose_name=_("groups"),
        help_text=_("Whose members may subscribe; counts on the level “Groups” only."),
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        verbose_name=_("members"),
        help_text=_("Users who may subscribe beside them; counts on the level “Groups” only."),
    )
    publish_level = models.CharField(
        _("may publish"),
        max_length=20,
        choices=PublishLevel.choices,
        default=PublishLevel.NOBODY,
        help_text=_("Who may publish from the browser. Python code always may."),
    )
    publish_groups = models.ManyToManyField(
        Group,
        blank=True,
        related_name="+",
        verbose_name=_("groups that may publish"),
        help_text=_("Counts where listed groups and users may publish."),
    )
    publishers = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="+",
        verbose_name=_("users who may publish"),
        help_text=_("Counts where listed groups and users may publish."),
    )
    presence_level = models.CharField(
        _("may see presence"),
        max_length=20,
        choices=PresenceLevel.choices,
        default=PresenceLevel.NOBODY,
        help_text=_("Who may see who is subscribed."),
    )
    is_active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("Nobody may subscribe to an inactive channel."),
    )
    description = models.TextField(_("description"), blank=True)

    objects = _ChannelQuerySet.as_manager()

    class Meta:
        """Names, order, index, and the rule of the ``$`` for writes that bypass save()."""

        verbose_name = _("channel")
        verbose_name_plural = _("channels")
        ordering = ("name",)
        permissions = (
            ("subscribe_channel", "Can subscribe to one channel (with django-guardian)"),
            ("publish_channel", "Can publish on one channel (with django-guardian)"),
            ("view_channel_status", "Can see the status of one channel (with django-guardian)"),
        )
        indexes = (models.Index(fields=["level", "name"], name="instant_channel_level"),)
        constraints = (
            models.CheckConstraint(
                name="instant_channel_dollar",
                condition=(
                    models.Q(level="public") & ~models.Q(name__startswith="$")
                    | ~models.Q(level="public") & models.Q(name__startswith="$")
                ),
                violation_error_message=_(
                    "The name of a channel that isn't public begins with $, "
                    "and that of a public one doesn't."
                ),
            ),
            models.CheckConstraint(
                name="instant_channel_user",
                # 4.2.0 may have left such rows, which are inactive since.
                condition=(
                    models.Q(is_active=False)
                    | ~models.Q(name__startswith=f"{USER_NAMESPACE}:")
                    & ~models.Q(name__startswith=f"${USER_NAMESPACE}:")
                ),
                violation_error_message=_("“user:” begins the names of users' own channels."),
            ),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a name that the server would refuse raises ValidationError here too."""
        fields: Collection[str] | None = kwargs.get("update_fields")
        if fields is None or {"name", "level"} & set(fields):
            validate_name(self.name)
            Channel.clean(self)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Hold the rule of the ``$``, and say which name would be right."""
        super().clean()
        right = self.right_name()
        if self.name and self.name != right:
            raise ValidationError(
                {
                    "name": ValidationError(
                        _("On the level “%(level)s” the channel must be named “%(name)s”."),
                        code="dollar",
                        params={"level": self.get_level_display(), "name": right},
                    )
                }
            )

    def right_name(self) -> str:
        """Return the name with or without ``$``, as the level demands."""
        bare = self.name.removeprefix("$")
        return bare if self.level == self.Level.PUBLIC else f"${bare}"
