"""What the database has of an instance, as far as that was read, written and not rolled back."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from django.db.models.fields.files import FieldFile
from django.db.transaction import on_commit

__all__ = ["as_before", "before_save", "forget", "known", "note_save", "refreshed", "remember"]

_KNOWN = "_instant_known"
"""Where an instance keeps what the database has."""

_OPEN = "_instant_open"
"""Where it keeps what the database had before the transactions that have saved it."""


def remember(instance: Any, columns: Iterable[str]) -> None:
    """
    Note the values of an instance as those that the database has.

    But for lists and dicts, which may be changed in place: they always count as changed. Of a file
    it is the name, since Django changes the file in place.
    """
    values = instance.__dict__
    values[_KNOWN] = {
        name: value.name if isinstance(value, FieldFile) else value
        for name in columns
        if not isinstance(value := values.get(name, Ellipsis), dict | list | set)
        and value is not Ellipsis
        and not hasattr(value, "resolve_expression")
    }


def refreshed(instance: Any, columns: Iterable[str]) -> None:
    """Note some of the values, beside those that are known."""
    kept = known(instance)
    remember(instance, columns)
    instance.__dict__[_KNOWN] = {**kept, **known(instance)}


def known(instance: Any) -> dict[str, Any]:
    """Return what the database has."""
    found: dict[str, Any] = instance.__dict__.get(_KNOWN, {})
    return found


def forget(instance: Any) -> None:
    """Know nothing of an instance any more."""
    for name in (_KNOWN, _OPEN):
        instance.__dict__.pop(name, None)


def before_save(instance: Any) -> dict[str, Any]:
    """Return what the database has, whatever was saved in a transaction that was rolled back."""
    saves = instance.__dict__.pop(_OPEN, None)
    if saves:
        for place, save in enumerate(saves):
            if save.is_rolled_back:
                instance.__dict__[_KNOWN] = save.known
                saves = saves[:place]
                break
        instance.__dict__[_OPEN] = _Saves(save for save in saves if not save.is_committed)
    return known(instance)


def note_save(instance: Any, connection: Any) -> None:
    """Note, before what is saved is remembered, what the database has until the commit."""
    if not connection.in_atomic_block:
        return
    saves = instance.__dict__.get(_OPEN, ())  # a copy may have the same
    block = tuple(connection.savepoint_ids)
    if not saves or (saves[-1].connection, saves[-1].block) != (connection, block):
        save = _Save(connection, block, known(instance))
        instance.__dict__[_OPEN] = _Saves([*saves, save])
        on_commit(save, using=connection.alias)


def as_before(instance: Any, values: dict[str, Any]) -> Any:
    """Return a copy with the values that the database had, and the relations of these."""
    if not values:
        return None
    old = copy.copy(instance)  # Django gives it a state and a cache of relations of its own
    for field in instance._meta.concrete_fields:  # noqa: SLF001  Django's documented API
        name = field.attname
        if name in values and values[name] != instance.__dict__.get(name):
            old._state.fields_cache.pop(field.name, None)  # noqa: SLF001
    old.__dict__.update(values)
    return old


class _Save:
    """
    The first save of an instance in a transaction, or in a savepoint of it.

    It stands among the hooks of the transaction until that is committed or rolled back.
    """

    __slots__ = ("block", "connection", "is_committed", "known")

    def __init__(self, connection: Any, block: tuple[Any, ...], known: dict[str, Any]) -> None:
        self.connection = connection
        self.block = block
        self.known = known
        """What the database had before."""
        self.is_committed = False

    @property
    def is_rolled_back(self) -> bool:
        """Whether it has left the hooks of its transaction without having run."""
        hooks = self.connection.run_on_commit
        return not self.is_committed and not any(hook is self for _, hook, *_ in hooks)

    def __call__(self) -> None:
        """Run as on-commit hook."""
        self.is_committed, self.known = True, {}


class _Saves(list[_Save]):
    """Those that may be rolled back; the instance's own, so there are none in a copy of it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Saves, ()
