"""Stored messages in the admin: what waits for whom; nothing can be edited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import BooleanField, Exists, ExpressionWrapper, QuerySet, Subquery
from django.db.models.lookups import IsNull
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from instant.admin.hidden import HiddenColumns
from instant.admin.status import AVAILABILITY, AvailabilityFilter, acknowledged, ping_rows
from instant.exceptions import InstantConfigError, PublishError
from instant.models import Channel, Message
from instant.rights import accounts
from instant.stored.acknowledging import let_go
from instant.stored.resending import resend
from instant.stored.rows import locked, own, writing
from instant.tenancy import current as tenancy

__all__ = ["MessageAdmin"]

if TYPE_CHECKING:  # generic for the type checker only
    _MessageAdmin = admin.ModelAdmin[Message]
else:
    _MessageAdmin = admin.ModelAdmin

_CONTENT = ("context", "content")
_AT_ONCE = 500


class _DeliveredFilter(admin.SimpleListFilter):
    title = _("acknowledged")
    parameter_name = "acknowledged"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:  # noqa: ARG002
        return (("1", _("by a reader")), ("0", _("by nobody")))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        match self.value():
            case "1":
                return queryset.filter(Exists(acknowledged()))
            case "0":
                return queryset.filter(~Exists(acknowledged()))
        return queryset


def _is_acknowledged() -> ExpressionWrapper[Any]:
    """
    Return the condition, as what is looked up for each message of the page.

    For EXISTS PostgreSQL reads all acknowledgements, since it has all messages in mind.
    """
    first = Subquery(acknowledged().values("pk")[:1])
    there: Any = IsNull(first, False)  # noqa: FBT003  as in __isnull=False
    return ExpressionWrapper(there, output_field=BooleanField())


class _ChannelFilter(AvailabilityFilter):
    title = _("availability of the channel")
    prefix = "row"


@admin.register(Message)
class MessageAdmin(HiddenColumns, _MessageAdmin):
    """
    List messages, send them again, collect and delete them.

    What a message says is shown only to those with the permission for that.
    """

    hidden, shown_with = _CONTENT, "instant.view_message_content"
    list_display = ("channel", "created_at", "sender", "is_delivered", "is_reply", "availability")
    list_filter = (_DeliveredFilter, "is_reply", _ChannelFilter, "created_at")
    list_select_related = ("row", "sender")
    ordering = ("-id",)
    actions = ("resend", "ping", "collect")
    list_per_page = 50
    show_full_result_count = False

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:  # noqa: ARG002
        """Search by channel, by sender, and by channel of what is replied to."""
        return ("channel", f"sender__{get_user_model().USERNAME_FIELD}", "request__channel")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        """Leave other tenants' messages out, and the content where it isn't shown."""
        rows: QuerySet[Message] = super().get_queryset(request)
        found = rows.annotate(is_delivered=_is_acknowledged())
        if tenant := tenancy.current():
            found = found.filter(tenant=tenant)
        shown: QuerySet[Message] = found if self._shows_content(request) else found.defer(*_CONTENT)
        return shown

    def get_fields(self, request: HttpRequest, obj: Message | None = None) -> Any:  # noqa: ARG002
        """Show the content to those who may see it."""
        fields = ["uuid", "channel", "row", "sender", "created_at", "readers", "is_reply"]
        fields += ["request", "tenant"]
        return [*fields, *_CONTENT] if self._shows_content(request) else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Message | None = None) -> Any:
        """Let nothing be edited."""
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        """Let publications make messages, and nobody here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Message | None = None) -> bool:  # noqa: ARG002
        """Let nothing be edited, whoever it is; the permission is for sending again."""
        return False

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Tell who may send again: those with the permission to change messages."""
        return accounts.holds(request.user, "instant.change_message")

    def has_ping_permission(self, request: HttpRequest) -> bool:
        """Tell who may ping: those with the permission to change channels."""
        return accounts.holds(request.user, "instant.change_channel")

    def has_view_permission(self, request: HttpRequest, obj: Message | None = None) -> bool:
        """Tell who may see the list; those who may send again may too."""
        return super().has_view_permission(request, obj) or self.has_resend_permission(request)

    @admin.display(description=_("acknowledged"), ordering="is_delivered", boolean=True)
    def is_delivered(self, message: Any) -> bool:
        """Tell whether somebody has acknowledged it."""
        return bool(message.is_delivered)

    @admin.display(description=_("availability"))
    def availability(self, message: Message) -> str:
        """Return whether somebody answers on its channel."""
        return "-" if message.row is None else str(AVAILABILITY[message.row.availability])

    @admin.display(description=_("acknowledged by"))
    def readers(self, message: Message) -> str:
        """Return who has acknowledged it, the first of them."""
        found = list(message.acknowledgements.select_related("user").order_by("pk")[:21])
        names = [str(one.user) for one in found[:20]]
        return ", ".join([*names, "…"] if len(found) > len(names) else names) or "-"

    @admin.action(description=_("Send again"), permissions=["resend"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        """Send the selected messages to whoever is subscribed now."""
        count = 0
        keys = list(queryset.order_by("pk").values_list("pk", flat=True))
        rows = Message._base_manager.select_related("row").order_by("pk")  # noqa: SLF001
        try:
            for start in range(0, len(keys), _AT_ONCE):
                count += resend(rows.filter(pk__in=keys[start : start + _AT_ONCE]))
        except (PublishError, InstantConfigError) as exc:
            messages.error(request, str(exc))
        if count:
            told = ngettext(
                "%(count)d message was sent again.", "%(count)d messages were sent again.", count
            )
            messages.success(request, told % {"count": count})

    @admin.action(description=_("Ping the channels"), permissions=["ping"])
    def ping(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        """Ask on the messages' channels whether somebody is there."""
        of_rows = queryset.filter(row__isnull=False).order_by()
        keys = list(of_rows.values_list("row", flat=True).distinct())
        ping_rows(request, Channel.objects.filter(pk__in=keys))

    @admin.action(description=_("Delete what every reader acknowledged"), permissions=["delete"])
    def collect(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        """Delete those of the selected messages whose rule lets them go now."""
        keys = list(queryset.order_by("pk").values_list("pk", flat=True))
        # Where writes go: the list may be a replica's.
        before = own().filter(pk__in=keys).count()
        for start in range(0, len(keys), _AT_ONCE):
            with writing():
                let_go(locked(own(), keys[start : start + _AT_ONCE]))
        count = before - own().filter(pk__in=keys).count()
        told = ngettext("%(count)d message was deleted.", "%(count)d messages were deleted.", count)
        messages.success(request, told % {"count": count})
