"""Columns that an admin doesn't show to everybody: nobody else may filter by them either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from instant.rights import accounts

__all__ = ["HiddenColumns"]

if TYPE_CHECKING:  # generic for the type checker only
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object


class HiddenColumns(_Admin):
    """
    Hides columns from those without a permission.

    Django lets whoever sees a list filter it by any column of its model, by the address: with
    ``?content__startswith=…`` they would read letter by letter what isn't shown.
    """

    hidden: tuple[str, ...] = ()
    shown_with = ""
    """The permission, with its app."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Refuse to filter by what isn't shown."""
        if not self._shows_content(request) and not {*self.hidden}.isdisjoint(lookup.split("__")):
            return False
        return super().lookup_allowed(lookup, value, request)

    def _shows_content(self, request: HttpRequest) -> bool:
        return accounts.holds(request.user, self.shown_with)
