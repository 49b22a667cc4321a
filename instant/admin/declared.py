"""What the admin leaves to the code: rows that ``realtime.py`` declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from instant.channels.declared import find_declared
from instant.models import Channel

__all__ = ["DeclaredRows"]

if TYPE_CHECKING:  # generic for the type checker only
    _Admin = admin.ModelAdmin[Channel]
else:
    _Admin = object


class DeclaredRows(_Admin):
    """Shows where a row is declared; what is said there can't be changed or deleted here."""

    def get_readonly_fields(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        """Add what the code says."""
        fields = [*super().get_readonly_fields(request, obj), "declared_in"]
        declared = find_declared(obj.name) if obj is not None else None
        if declared is not None:
            fields += sorted(declared.fields)
        return fields

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        """Say first where a declared row is declared."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or find_declared(obj.name) is None:
            return fieldsets
        (title, options), *more = fieldsets
        return [(title, {**options, "fields": ("declared_in", *options["fields"])}), *more]

    def has_delete_permission(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        """Refuse it for a declared row: the next “migrate” would make it again."""
        if obj is not None and find_declared(obj.name) is not None:
            return False
        return super().has_delete_permission(request, obj)

    @admin.display(description=_("declared in"))
    def declared_in(self, channel: Channel) -> str:
        """Return module and line."""
        declared = find_declared(channel.name)
        if declared is None:  # only shown where there is one
            return ""
        text = _("%(place)s. What is said there is changed there, and by “manage.py migrate”.")
        return text % {"place": declared.place}
