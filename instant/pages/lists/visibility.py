"""What one user may see of rows that a list has for all who follow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser

from instant.pages.lists.following import declaration_of

__all__ = ["key_of", "viewer_of", "visible"]


def key_of(one: Any) -> Any:
    """Return the primary key of a row, which is an object or a dict."""
    return one["pk"] if isinstance(one, dict) else one.pk


def viewer_of(user: Any, how: Mapping[str, Any]) -> Any:
    """Return as whom a row is looked at: as nobody where it is the same for everybody."""
    return AnonymousUser() if user is None or how.get("public") else user


def visible(model: Any, database: str, objects: list[Any], user: Any) -> list[Any]:
    """Return those of the rows that ``visible_to()`` of the model's declaration lets through."""
    declaration = declaration_of(model)
    if declaration is None or declaration.visible_to is None or not objects:
        return objects
    rows = model._base_manager.using(database)  # noqa: SLF001  Django's documented API
    asked = rows.filter(pk__in=[key_of(one) for one in objects])
    may = set(declaration.visible_to(asked, user).order_by().values_list("pk", flat=True))
    return [one for one in objects if key_of(one) in may]
