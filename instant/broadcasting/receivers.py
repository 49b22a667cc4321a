"""Signals of models that broadcast: who listens, and what it makes of them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Collection, Iterable
from functools import wraps
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.models import signals

from instant.broadcasting import known
from instant.broadcasting.change import Change
from instant.broadcasting.declaration import Declaration, declarations
from instant.broadcasting.sending import take, value_of
from instant.broadcasting.units import is_muted
from instant.tenancy import current as tenancy

__all__ = ["Listener", "connect", "declared_of", "listener_of"]

logger = logging.getLogger("instant.producers")

_listeners: dict[type, Listener] = {}

_declared: dict[type, Declaration] = {}
"""Those that tell no channel, too."""


def connect() -> None:
    """Listen to the models that say so; called when the apps are ready."""
    for declaration in declarations():
        _declared[declaration.model] = declaration
        if not declaration.tells:  # live lists follow it, and nobody else
            continue
        listener = _listeners[declaration.model] = Listener(declaration)
        listener.connect()


def listener_of(model: type) -> Listener | None:
    """Return what listens to a model."""
    return _listeners.get(model)


def _nearest(model: type) -> Listener | None:
    """Return what listens to a model, or to the nearest one that it is made of."""
    return next((_listeners[one] for one in model.__mro__ if one in _listeners), None)


def declared_of(model: type) -> Declaration | None:
    """Return what a model, or the nearest one that it is made of, has declared."""
    return next((_declared[one] for one in model.__mro__ if one in _declared), None)


def _quiet(receiver: Callable[..., None]) -> Callable[..., None]:
    """Let a receiver break nothing; what fails in a transaction's database has failed that, too."""

    @wraps(receiver)
    def quiet(*arguments: Any, **kwargs: Any) -> None:
        try:
            receiver(*arguments, **kwargs)
        except DatabaseError:
            if connections[kwargs.get("using") or DEFAULT_DB_ALIAS].in_atomic_block:
                raise
            logger.exception("Nobody was told of a change.")
        except Exception:
            logger.exception("Nobody was told of a change.")

    return quiet


class Listener:
    """Makes changes of the signals of one model."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self._model = declaration.model
        meta = declaration.model._meta  # noqa: SLF001  Django's documented API
        self._columns = [field.attname for field in meta.concrete_fields]
        fields = declaration.fields
        self._told = None if fields is None else [field.attname for field in fields]
        self._fields = fields

    @property
    def declaration(self) -> Declaration:
        """What the model says."""
        return self._declaration

    def connect(self) -> None:
        """Listen, any number of times."""
        meta, uid = self._model._meta, "instant.broadcasting"  # noqa: SLF001
        for signal, receiver in (
            (signals.post_init, self._read),
            (signals.pre_save, self._saves),
            (signals.post_save, _quiet(self._saved)),
            (signals.pre_delete, _quiet(self._goes)),
        ):
            signal.connect(
                receiver, sender=self._model, weak=False, dispatch_uid=f"{uid}.{meta.label}"
            )
        for field in self._declaration.many:
            signals.m2m_changed.connect(
                _quiet(self._relates),
                sender=field.remote_field.through,
                weak=False,
                dispatch_uid=f"{uid}.{meta.label}.{field.name}",
            )
        _follow_refreshes(self._model)

    def touch(self, instances: Iterable[Any], using: str, only: Callable[[str], bool]) -> None:
        """Tell of instances as of updated ones, on the channels that ``only`` lets through."""
        changes = []
        for instance in instances:
            names = tuple(name for name in self._channels(instance) if only(name))
            if names:
                changes.append(self._change("updated", instance, using, names, names))
        take(connections[using], changes)

    def _read(self, instance: Any, **_kwargs: Any) -> None:
        known.remember(instance, self._columns)

    def _saves(self, instance: Any, **_kwargs: Any) -> None:
        """Forget what no database said: this one wasn't read."""
        if instance._state.adding:  # noqa: SLF001  Django's documented flag
            known.forget(instance)

    def refreshed(self, instance: Any, fields: Collection[str] | None) -> None:
        """Remember what was read again, or written."""
        meta = self._model._meta  # noqa: SLF001
        names = self._columns
        if fields is not None:
            names = [f.attname for f in meta.concrete_fields if {f.name, f.attname} & set(fields)]
        known.refreshed(instance, names)

    def _saved(
        self,
        instance: Any,
        created: bool,
        using: str,
        raw: bool = False,
        update_fields: Collection[str] | None = None,
        **_kwargs: Any,
    ) -> None:
        connection = connections[using]
        had = {} if created else known.before_save(instance)
        old = None if created else known.as_before(instance, had)
        changed = created or self._is_changed(instance, had, old, update_fields)
        if changed and not raw:
            known.note_save(instance, connection)
        self.refreshed(instance, update_fields)
        if raw or not changed or is_muted(self._model):  # a fixture's relations come later
            return
        before = () if old is None else self._channels(old)
        channels = self._channels(instance)
        event = "created" if created else "updated"
        if (is_deleted := self._declaration.is_deleted) is not None:
            was, is_now = old is not None and bool(is_deleted(old)), bool(is_deleted(instance))
            if is_now and (was or created):
                return
            if is_now:
                event, channels = "deleted", ()
            elif was:
                event, before = "created", ()
        self._take(event, instance, using, before, channels)

    def _goes(self, instance: Any, using: str, **_kwargs: Any) -> None:
        """Ask for the channels before the row goes: what it refers to is still there."""
        is_deleted = self._declaration.is_deleted
        if is_muted(self._model) or (is_deleted is not None and is_deleted(instance)):
            return
        self._take("deleted", instance, using, self._channels(instance), ())

    def _relates(
        self,
        sender: Any,
        instance: Any,
        action: str,
        reverse: bool,
        pk_set: Any,
        using: str,
        **_kwargs: Any,
    ) -> None:
        if action not in {"post_add", "post_remove", "pre_clear", "post_clear"}:
            return
        if is_muted(self._model) or (pk_set is not None and not pk_set):
            return
        # A proxy, and a model that inherits it, have the same relation.
        model: Any = self._model._meta.concrete_model if reverse else type(instance)  # noqa: SLF001
        if _nearest(model) not in {None, self}:
            return
        if not reverse:
            found = [instance] if action != "pre_clear" else []
        else:
            rows = self._model._base_manager.using(using)  # noqa: SLF001
            if pk_set is not None:
                found = list(rows.filter(pk__in=pk_set))
            elif action == "pre_clear":
                field = next(f for f in self._declaration.many if f.remote_field.through is sender)
                cleared = list(
                    rows.filter(**{field.name: instance.pk}).values_list("pk", flat=True)
                )
                instance.__dict__["_instant_cleared"] = cleared
                found = []
            else:
                found = list(rows.filter(pk__in=instance.__dict__.pop("_instant_cleared", ())))
        for one in found:
            names = self._channels(one)
            self._take("updated", one, using, names, names)

    def _is_changed(
        self,
        instance: Any,
        had: dict[str, Any],
        old: Any,
        update_fields: Collection[str] | None,
    ) -> bool:
        """Tell whether a field that counts was saved with another value than it had."""
        if self._fields is None:
            return True
        watched = {field.attname: field for field in self._fields}
        is_deleted = self._declaration.is_deleted
        if is_deleted is not None and (
            old is None or bool(is_deleted(old)) != bool(is_deleted(instance))
        ):
            return True
        if update_fields is not None:
            saved = set(update_fields)
            watched = {n: f for n, f in watched.items() if {f.name, f.attname} & saved}
        if any(name not in had or had[name] != instance.__dict__.get(name) for name in watched):
            return True
        # It may have moved by a field that isn't told, as to another parent.
        moved = any(instance.__dict__.get(n, value) != value for n, value in had.items())
        return moved and self._channels(old) != self._channels(instance)

    def _take(
        self,
        event: str,
        instance: Any,
        using: str,
        before: tuple[str, ...],
        channels: tuple[str, ...],
    ) -> None:
        if before or channels:
            change = self._change(event, instance, using, before, channels)
            take(connections[using], [change])

    def _change(
        self,
        event: str,
        instance: Any,
        using: str,
        before: tuple[str, ...],
        channels: tuple[str, ...],
    ) -> Change:
        data = None if event == "deleted" else self._data(instance, using)
        key: tuple[Any, Any, str] = (self._model._meta.concrete_model, instance.pk, using)  # noqa: SLF001
        return Change(self._declaration, key, event, before, channels, data, tenancy.current())

    def _data(self, instance: Any, using: str) -> Any:
        """Return what is sent; what a function makes of it is made when it is sent."""
        if any(hasattr(value, "resolve_expression") for value in vars(instance).values()):
            rows = self._model._base_manager.using(using)  # noqa: SLF001
            instance = rows.get(pk=instance.pk)  # only the database knows what F() has become
        if self._declaration.payload is not None:
            return copy.copy(instance)
        data = {"pk": instance.pk}
        for field in self._fields or ():
            data[field.name] = value_of(field, instance)
        for many in self._declaration.many:
            related = getattr(instance, many.name).order_by("pk")
            data[many.name] = list(related.values_list("pk", flat=True))
        return data

    def _channels(self, instance: Any) -> tuple[str, ...]:
        found = self._declaration.channels(instance)
        return (found,) if isinstance(found, str) else tuple(dict.fromkeys(found or ()))


def _follow_refreshes(model: Any) -> None:
    """Remember anew what refresh_from_db() reads: Django has no signal for it."""
    if hasattr(model.refresh_from_db, "_instant"):  # a parent's, perhaps
        return
    original = model.refresh_from_db

    @wraps(original)
    def refresh_from_db(self: Any, *arguments: Any, **kwargs: Any) -> None:
        original(self, *arguments, **kwargs)
        listener = _listeners.get(type(self))
        if listener is not None:
            fields = kwargs.get("fields", arguments[1] if len(arguments) > 1 else None)
            listener.refreshed(self, fields)

    refresh_from_db._instant = True  # type: ignore[attr-defined]  # noqa: SLF001
    model.refresh_from_db = refresh_from_db
