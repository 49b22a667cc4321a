"""Notifications in the admin: whose they are, and whether they were read; nothing can be edited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instant.models import Acknowledgement, Notification, PushSubscription
from instant.rights import accounts
from instant.tenancy import current as tenancy

__all__ = ["NotificationAdmin", "PushSubscriptionAdmin"]

if TYPE_CHECKING:  # generic for the type checker only
    _NotificationAdmin = admin.ModelAdmin[Notification]
    _PushSubscriptionAdmin = admin.ModelAdmin[PushSubscription]
else:
    _NotificationAdmin = _PushSubscriptionAdmin = admin.ModelAdmin


class _ReadFilter(admin.SimpleListFilter):
    title = pgettext_lazy("notification", "read")
    parameter_name = "read"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:  # noqa: ARG002
        return (("1", _("Yes")), ("0", _("No")))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        match self.value():
            case "1":
                return queryset.filter(_read())
            case "0":
                return queryset.filter(~_read())
        return queryset


@admin.register(Notification)
class NotificationAdmin(_NotificationAdmin):
    """
    List notifications.

    What one says is shown only to those who may see the content of messages.
    """

    list_filter = (_ReadFilter, ("message__created_at", admin.DateFieldListFilter))
    list_select_related = ("user", "message")
    ordering = ("-message",)
    list_per_page = 50
    show_full_result_count = False

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Show titles to those who may see them."""
        shown = ("title",) if _shows_content(request) else ("id_",)
        return (*shown, "user", "created", "is_read")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:  # noqa: ARG002
        """Search by user."""
        return (f"user__{get_user_model().USERNAME_FIELD}",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        """Leave other tenants' out, and the content where it isn't shown."""
        found = super().get_queryset(request).annotate(is_read=_read())
        if tenant := tenancy.current():
            found = found.filter(message__tenant=tenant)
        return found if _shows_content(request) else found.defer("message__content")

    def get_fields(self, request: HttpRequest, obj: Notification | None = None) -> Any:  # noqa: ARG002
        """Show the content to those who may see it."""
        fields = ["id_", "user", "created", "is_read", "remind_at"]
        return ["title", "body", "url", *fields] if _shows_content(request) else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Notification | None = None) -> Any:
        """Let nothing be edited."""
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        """Let notify() make them, and nobody here."""
        return False

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002  Django's signature
        obj: Notification | None = None,  # noqa: ARG002
    ) -> bool:
        """Let nothing be edited, whoever it is."""
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,
        obj: Notification | None = None,  # noqa: ARG002  Django's signature
    ) -> bool:
        """Let those delete them who may delete messages; a user's go with the user."""
        return accounts.holds(request.user, "instant.delete_message")

    def delete_model(self, request: HttpRequest, obj: Notification) -> None:  # noqa: ARG002
        """Delete the message, which is what it says."""
        obj.message.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:  # noqa: ARG002
        """Delete the messages, some at a time."""
        keys = list(queryset.order_by("pk").values_list("pk", flat=True))
        field = Notification._meta.get_field("message")  # noqa: SLF001
        manager = field.related_model._base_manager.using(queryset.db)  # noqa: SLF001
        for start in range(0, len(keys), 500):
            manager.filter(pk__in=keys[start : start + 500]).delete()

    @admin.display(description=_("UUID"), ordering="message")
    def id_(self, notification: Notification) -> str:
        """Return the id that pages know."""
        return notification.message.uuid.hex

    @admin.display(description=pgettext_lazy("notification", "title"), ordering="message")
    def title(self, notification: Notification) -> str:
        """Return what it is about."""
        return str(_said(notification).get("title", "")) or "-"

    @admin.display(description=pgettext_lazy("notification", "text"))
    def body(self, notification: Notification) -> str:
        """Return what it says."""
        return str(_said(notification).get("body", "")) or "-"

    @admin.display(description=_("address"))
    def url(self, notification: Notification) -> str:
        """Return where it leads."""
        return str(_said(notification).get("url", "")) or "-"

    @admin.display(description=_("created"), ordering="message__created_at")
    def created(self, notification: Notification) -> Any:
        """Return when it was sent."""
        return notification.message.created_at

    @admin.display(
        description=pgettext_lazy("notification", "read"), ordering="is_read", boolean=True
    )
    def is_read(self, notification: Any) -> bool:
        """Tell whether the user has read it."""
        return bool(notification.is_read)


@admin.register(PushSubscription)
class PushSubscriptionAdmin(_PushSubscriptionAdmin):
    """List browsers that are notified, and delete them; whoever knows an address can wake one."""

    list_display = ("user", "service", "created_at", "renewed_at", "expires_at")
    list_select_related = ("user",)
    fields = readonly_fields = ("user", "service", "created_at", "renewed_at", "expires_at")
    ordering = ("-renewed_at",)
    show_full_result_count = False

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:  # noqa: ARG002
        """Search by user."""
        return (f"user__{get_user_model().USERNAME_FIELD}",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PushSubscription]:
        """Leave other tenants' out."""
        found = super().get_queryset(request)
        return found.filter(tenant=tenant) if (tenant := tenancy.current()) else found

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        """Let browsers subscribe, and nobody here."""
        return False

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002  Django's signature
        obj: PushSubscription | None = None,  # noqa: ARG002
    ) -> bool:
        """Let nothing be edited, whoever it is."""
        return False

    @admin.display(description=_("push service"))
    def service(self, subscription: PushSubscription) -> str:
        """Return the host, which is no secret."""
        return subscription.endpoint.split("/")[2]


def _read() -> Exists:
    manager = Acknowledgement._base_manager  # noqa: SLF001  Django's documented API
    return Exists(manager.filter(message=OuterRef("message"), user=OuterRef("user")))


def _said(notification: Notification) -> dict[str, Any]:
    found = notification.message.payload.get("data")
    return found if isinstance(found, dict) else {}


def _shows_content(request: HttpRequest) -> bool:
    return accounts.holds(request.user, "instant.view_message_content")
