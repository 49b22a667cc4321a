"""The objects of fragments, as a viewer may see them, from the database that is written to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models, router

from instant.broadcasting.receivers import declared_of

__all__ = ["load"]


def load(
    model: type[models.Model], keys: Iterable[Any], user: Any, *, hidden: bool = False
) -> dict[Any, models.Model]:
    """
    Return those of a model's objects that are there for the user, by primary key; one query.

    ``visible_to`` decides where the model says one. What counts as deleted isn't there: what
    ``is_deleted`` says, and without it what the model's default manager leaves out, but for what
    is ``hidden`` by it from the beginning.
    """
    declaration = declared_of(model)  # also of one that names no channel: the tag may
    is_deleted = None if declaration is None else declaration.is_deleted
    asks_base = hidden or is_deleted is not None
    manager = model._base_manager if asks_base else model._default_manager  # noqa: SLF001
    found: Any = manager.using(router.db_for_write(model))
    found = found.filter(pk__in=list(keys))
    if declaration is not None and declaration.visible_to is not None:
        found = declaration.visible_to(found, user)
    return {one.pk: one for one in found if is_deleted is None or not is_deleted(one)}
