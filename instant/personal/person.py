"""Whom a command means: by user name, or by primary key."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import router

from instant.personal.part import Person

__all__ = ["NotFound", "find_person"]


class NotFound(LookupError):
    """There is no such user, or there are two; the text says what to do."""


def find_person(name: str, *, is_key: bool = False, sent_goes: bool = False) -> Person:
    """
    Return whom a name means: a user name, or else a primary key; a primary key if ``is_key``.

    Users whom a manager of the site hides are found, too, and deactivated ones. By ``is_key``
    also somebody who was deleted, of whom there may be rows. Raises NotFound.
    """
    key = _key(name)
    by_key = None if key is None else _first(pk=key)
    if is_key:
        if key is None:
            raise NotFound(f"{name!r} can't be the primary key of a user.")
        return Person(str(key), by_key, sent_goes)
    by_name = _by_name(name)
    if by_name is not None and by_key is not None and by_name.pk != by_key.pk:
        raise NotFound(
            f"{name!r} is the name of the user with the primary key {by_name.pk}, and the primary "
            f"key of {by_key.get_username()!r}: say “--pk {by_name.pk}” or “--pk {name}”."
        )
    user = by_key if by_name is None else by_name
    if user is None:
        raise NotFound(
            f"There is no user with the name or the primary key {name!r}. Of one who was deleted "
            f"rows may be left: say “--pk {name}”."
        )
    return Person(str(user.pk), user, sent_goes)


def _key(name: str) -> Any:
    """Return what is a primary key's text as such, None for any other."""
    field = get_user_model()._meta.pk  # noqa: SLF001  Django's documented API
    try:
        key = field.to_python(name)
        field.run_validators(key)  # no database takes any integer
    except (ValidationError, ValueError, TypeError, OverflowError):
        return None
    return key


def _by_name(name: str) -> Any:
    model = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(name)  # noqa: SLF001  Django's
    except model.DoesNotExist:
        return _first(**{model.USERNAME_FIELD: name})


def _first(**wanted: Any) -> Any:
    model = get_user_model()
    rows = model._base_manager.using(router.db_for_write(model))  # noqa: SLF001  Django's
    return rows.filter(**wanted).first()
