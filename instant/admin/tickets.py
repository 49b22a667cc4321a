"""Queued calls in the admin: what waits, runs and has ended; nothing can be edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from instant.admin.hidden import HiddenColumns
from instant.inbound.tickets.cancelling import cancel
from instant.models import Ticket
from instant.rights import accounts

__all__ = ["TicketAdmin"]

if TYPE_CHECKING:  # generic for the type checker only
    _TicketAdmin = admin.ModelAdmin[Ticket]
else:
    _TicketAdmin = admin.ModelAdmin

_CONTENT = ("data", "caller", "progress", "message", "result")


@admin.register(Ticket)
class TicketAdmin(HiddenColumns, _TicketAdmin):
    """
    List tickets, cancel and delete them.

    What was sent and what came of it is shown only to those with the permission for that.
    """

    hidden, shown_with = _CONTENT, "instant.view_ticket_content"
    list_display = (
        "method",
        "state",
        "queue",
        "priority",
        "age",
        "attempts",
        "owner",
        "short_error",
    )
    list_filter = ("state", "queue", "method")
    search_fields = ("owner__exact",)
    ordering = ("-created_at",)
    actions = ("cancel",)
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        """Leave what is in a ticket in the database, where it isn't shown."""
        found = super().get_queryset(request)
        return found if self._shows_content(request) else found.defer(*_CONTENT)

    def get_fields(self, request: HttpRequest, obj: Ticket | None = None) -> Any:  # noqa: ARG002
        """Show the content to those who may see it."""
        fields = ["method", "state", "queue", "priority", "owner", "tenant", "language"]
        fields += ["attempts", "created_at", "started_at", "ended_at", "due_at", "code", "error"]
        return [*fields, *_CONTENT] if self._shows_content(request) else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Ticket | None = None) -> Any:
        """Let nothing be edited."""
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        """Let calls make tickets, and nobody here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Ticket | None = None) -> bool:  # noqa: ARG002
        """Let nothing be edited, whoever it is; the permission is for cancelling."""
        return False

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell who may cancel: those with the permission to change tickets."""
        return accounts.holds(request.user, "instant.change_ticket")

    def has_view_permission(self, request: HttpRequest, obj: Ticket | None = None) -> bool:
        """Tell who may see the list; those who may cancel may too."""
        return super().has_view_permission(request, obj) or self.has_cancel_permission(request)

    @admin.display(description=_("age"), ordering="created_at")
    def age(self, ticket: Ticket) -> str:
        """Return how long ago it was called."""
        return timesince(ticket.created_at, depth=1)

    @admin.display(description=_("error"))
    def short_error(self, ticket: Ticket) -> str:
        """Return the beginning of the error."""
        return Truncator(ticket.error).chars(80)

    @admin.action(description=_("Cancel"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> None:
        """Cancel those that haven't ended."""
        live = queryset.filter(state__in=[Ticket.State.QUEUED, Ticket.State.RUNNING])
        count = sum(cancel(ticket).state == Ticket.State.CANCELLED for ticket in live)
        told = ngettext("%(count)d job was cancelled.", "%(count)d jobs were cancelled.", count)
        messages.success(request, told % {"count": count})
