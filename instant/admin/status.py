"""What the admin shows of stored messages, and of whether somebody is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from instant import conf
from instant.backends import get_backend
from instant.centrifugo.api import channel_state
from instant.exceptions import BatchError, InstantConfigError, PublishError
from instant.models import Acknowledgement, Channel, Message
from instant.stored import pinging
from instant.stored.availability import Availability, condition
from instant.stored.rules import are_rows_asked
from instant.tenancy import current as tenancy

__all__ = [
    "AVAILABILITY",
    "READ_ONLY",
    "STORED_FIELDSETS",
    "AvailabilityFilter",
    "StatusColumns",
    "acknowledged",
    "ping_rows",
]

if TYPE_CHECKING:  # generic for the type checker only
    _Admin = admin.ModelAdmin[Channel]
else:
    _Admin = object

AVAILABILITY: dict[Availability, Any] = {
    "online": pgettext_lazy("channel", "online"),
    "offline": pgettext_lazy("channel", "offline"),
    "unknown": pgettext_lazy("channel", "unknown"),
}

STORED_FIELDSETS: Any = (
    (_("Stored messages"), {"fields": ("store", "rule_in_force")}),
    (
        _("Whether somebody is there"),
        {
            "fields": (
                "answers_pings", "availability_text", "last_ping", "last_pong",
                "status_level", "status_groups", "status_viewers",
            )
        },
    ),
)  # fmt: skip

READ_ONLY = ("subscribed_now", "rule_in_force", "availability_text", "last_ping", "last_pong")

_PATIENCE = 1.0
"""Seconds for which a form waits for the message server."""


class AvailabilityFilter(admin.SimpleListFilter):
    """Channels by whether somebody answers, or messages by their channels."""

    title = _("availability")
    parameter_name = "availability"
    prefix: str | None = None
    """The relation that leads to the channel."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:  # noqa: ARG002
        """See Django's."""
        return AVAILABILITY.items()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        """See Django's."""
        wanted: Any = self.value()
        if wanted not in AVAILABILITY:
            return queryset
        found = condition(wanted, timezone.now())
        if self.prefix is None:
            return queryset.filter(found)
        rows = Channel.objects.filter(found).order_by().values("pk")
        return queryset.filter(**{f"{self.prefix}__in": rows})


class StatusColumns(_Admin):
    """The columns, the fields and the action of channels that store messages or answer pings."""

    def get_list_display(self, request: HttpRequest) -> Any:
        """Add what the site uses: nobody else's list gets wider, or slower."""
        columns = [*super().get_list_display(request)]
        if are_rows_asked():
            # Where they are seen without scrolling: before whom a channel is for.
            columns[3:3] = ["availability_text", "pending", "stored_count", "reply_count"]
        return columns

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        """Count messages in the same query."""
        found = super().get_queryset(request)
        if not are_rows_asked():
            return found
        mine = Message._base_manager.filter(row=OuterRef("pk"))  # noqa: SLF001
        # Without the second condition PostgreSQL reads all messages, for each row of the page.
        replies = Message._base_manager.filter(  # noqa: SLF001
            is_reply=True, request__isnull=False, request__row=OuterRef("pk")
        )
        return found.annotate(
            stored_count=_counted(mine, "row"),
            pending=_counted(mine.filter(~Exists(acknowledged())), "row"),
            reply_count=_counted(replies, "request__row"),
        )

    @admin.display(description=_("availability"))
    def availability_text(self, channel: Channel) -> str:
        """Return whether somebody answers."""
        return str(AVAILABILITY[channel.availability])

    @admin.display(description=_("waiting"), ordering="pending")
    def pending(self, channel: Any) -> int:
        """Return how many messages nobody has acknowledged."""
        return int(channel.pending)

    @admin.display(description=_("stored"), ordering="stored_count")
    def stored_count(self, channel: Any) -> int:
        """Return how many messages are stored."""
        return int(channel.stored_count)

    @admin.display(description=_("stored replies"), ordering="reply_count")
    def reply_count(self, channel: Any) -> int:
        """Return how many replies to its messages are stored, wherever they are."""
        return int(channel.reply_count)

    @admin.display(description=_("rule in force"))
    def rule_in_force(self, channel: Channel) -> str:
        """Return how long messages are stored, and who says so."""
        if channel.pk is None:
            return "-"
        rule, why = channel.effective_store
        return f"{Channel.Store(rule).label} ({why})"

    @admin.display(description=_("subscribed now"))
    def subscribed_now(self, channel: Channel) -> str:
        """Return how many connections are in the channel, as the message server knows."""
        if channel.pk is None:
            return "-"
        try:
            client = get_backend().client()
            if client is None:
                return "-"
            seconds = min(conf.current().timeout, _PATIENCE)
            wire = tenancy.to_wire(channel.name)
            return str(len(channel_state.presence(client, wire, seconds)))
        except (PublishError, InstantConfigError):
            return str(AVAILABILITY["unknown"])

    @admin.action(description=_("Ping"), permissions=["change"])
    def ping(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Ask whether somebody is there."""
        keys = list(queryset.values_list("pk", flat=True))
        ping_rows(request, Channel.objects.filter(pk__in=keys))


def ping_rows(request: HttpRequest, rows: QuerySet[Channel]) -> None:
    """Ping channels, and say on how many somebody may answer."""
    try:
        count = pinging.ping_all(rows)
    except (PublishError, BatchError, InstantConfigError) as exc:
        messages.error(request, str(exc))
        return
    told = ngettext("%(count)d channel was pinged.", "%(count)d channels were pinged.", count)
    messages.success(request, told % {"count": count})


def acknowledged() -> QuerySet[Acknowledgement]:
    """Return the acknowledgements of an outer query's message."""
    return Acknowledgement._base_manager.filter(message=OuterRef("pk"))  # noqa: SLF001


def _counted(found: QuerySet[Message], by: str) -> Coalesce:
    counted = found.order_by().values(by).annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), 0)
