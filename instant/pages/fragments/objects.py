"""The objects of fragments, as a viewer may see them, from the database that is written to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models, router

from instant.broadcasting.receivers import declared_of

__all__ = ["load"]


def load(model: type[models.Model], keys: Iterable[Any], user: Any) -> dict[Any, models.Model]:
    """
    Return those of a model's objects that are there for the user, by primary key; one query.

    ``visible_to`` decides where the model says one. What counts as deleted isn't there.
    """
    declaration = declared_of(model)  # also of one that names no channel: the tag may
    found: Any = model._base_manager.using(router.db_for_write(model))  # noqa: SLF001
    found = found.filter(pk__in=list(keys))
    if declaration is not None and declaration.visible_to is not None:
        found = declaration.visible_to(found, user)
    is_deleted = None if declaration is None else declaration.is_deleted
    return {one.pk: one for one in found if is_deleted is None or not is_deleted(one)}
