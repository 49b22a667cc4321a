"""Workers' tokens in the admin: who has one, and when it was used; they can be revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from instant.models import WorkerToken
from instant.rights import accounts

__all__ = ["WorkerTokenAdmin"]

if TYPE_CHECKING:  # generic for the type checker only
    _WorkerTokenAdmin = admin.ModelAdmin[WorkerToken]
else:
    _WorkerTokenAdmin = admin.ModelAdmin


@admin.register(WorkerToken)
class WorkerTokenAdmin(_WorkerTokenAdmin):
    """
    List tokens and revoke them; ``manage.py workertoken`` makes them, and shows each once.

    Neither a token, which isn't kept, nor its hash is shown.
    """

    list_display = ("responder", "label", "created_at", "used_at", "revoked_at")
    list_filter = ("responder", ("revoked_at", admin.EmptyFieldListFilter))
    fields = ("responder", "label", "tenant", "created_at", "used_at", "revoked_at")
    readonly_fields = fields
    ordering = ("-created_at",)
    actions = ("revoke",)
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        """Let the command make tokens: what a page shows may be kept by whoever is in between."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Let nothing be edited, whoever it is; the permission is for revoking."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Tell who may revoke: those with the permission to change tokens."""
        return accounts.holds(request.user, "instant.change_workertoken")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell who may see the list; those who may revoke may too."""
        return super().has_view_permission(request, obj) or self.has_revoke_permission(request)

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[WorkerToken]) -> None:
        """Revoke those that aren't revoked yet."""
        live = list(queryset.filter(revoked_at=None))
        for token in live:
            token.revoke()
        told = ngettext("%(count)d token was revoked.", "%(count)d tokens were revoked.", len(live))
        messages.success(request, told % {"count": len(live)})
