"""Models on which the rules of namespaces depend (``Namespace.depends_on``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models import signals

from instant.namespaces import Namespace, registered
from instant.revoking import run
from instant.revoking.affected import Affected
from instant.revoking.pending import is_crowded, is_noted
from instant.revoking.receivers.guard import guarded, unless_noted
from instant.revoking.receivers.stored import note, saved, senders, stored

__all__ = ["connect", "problems"]

logger = logging.getLogger("instant.enforcement")

_KEYS = {"channels", "users", "fields"}


def connect() -> None:
    """Listen to the models of all declared namespaces; called when the apps are ready."""
    for cls in registered():
        for label, declared in cls.depends_on.items():
            try:
                model = apps.get_model(label)
            except (LookupError, ValueError):
                continue  # a check names it
            given = declared if isinstance(declared, Mapping) else {"channels": declared}
            if callable(given.get("channels")):  # else a check says so
                _Dependency(cls, model, given).connect()


def problems(cls: type[Namespace]) -> Iterator[str]:
    """Yield what is wrong with a namespace's ``depends_on``."""
    where = f"{cls.__module__}.{cls.__qualname__}.depends_on"
    if not isinstance(cls.depends_on, Mapping):
        yield f"{where} must be a dict of “app.Model” and a function, not {cls.depends_on!r}."
        return
    for label, declared in cls.depends_on.items():
        model = None
        try:
            model = apps.get_model(label)
        except (LookupError, ValueError, AttributeError):
            yield f"{where}: there is no model {label!r}. Name it as “app.Model”."
        if isinstance(declared, Mapping):
            yield from _wrong_keys(f"{where}[{label!r}]", model, declared)
        elif not callable(declared):
            yield f"{where}[{label!r}] must be a function of an instance, not {declared!r}."
    if cls.depends_on and cls.authorize == "open":
        yield f"{where}: an open namespace has no rule that could depend on anything."


def _wrong_keys(where: str, model: Any, declared: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(set(declared) - _KEYS, key=str):
        yield f"{where} has the unknown key {key!r}. Known are: {', '.join(sorted(_KEYS))}."
    if not callable(declared.get("channels")):
        yield f"{where}['channels'] must be a function of an instance."
    if "users" in declared and not callable(declared["users"]):
        yield f"{where}['users'] must be a function of an instance, not {declared['users']!r}."
    fields = declared.get("fields", ())
    if isinstance(fields, str) or not isinstance(fields, Collection):
        yield f"{where}['fields'] must be a list of names of fields, not {fields!r}."
        return
    known = set() if model is None else {field.name for field in model._meta.concrete_fields}  # noqa: SLF001
    for name in fields if model is not None else ():
        if name not in known:
            yield f"{where}['fields']: {name!r} is no column of {model.__name__}."


class _Dependency:
    """A namespace that looks at a model."""

    def __init__(self, cls: type[Namespace], model: Any, given: Mapping[str, Any]) -> None:
        self._cls, self._model = cls, model
        self._channels: Callable[[Any], Any] = given["channels"]
        self._users: Callable[[Any], Iterable[Any]] | None = given.get("users")
        self._fields = [model._meta.get_field(name) for name in given.get("fields", ())]  # noqa: SLF001

    def connect(self) -> None:
        meta = self._model._meta  # noqa: SLF001  Django's documented API
        uid = f"instant.{self._cls.__module__}.{self._cls.__qualname__}.{meta.label}"
        for signal, receiver in (
            (signals.pre_save, self._changes),
            (signals.post_save, self._changed),
            (signals.pre_delete, self._goes),
        ):
            for sender in senders(self._model):
                name = f"{uid}.{receiver.__name__}"
                listens = guarded(receiver)
                if signal is signals.pre_delete:
                    listens = unless_noted(listens, f"{self._cls.name}:*")
                signal.connect(listens, sender=sender, weak=False, dispatch_uid=name)
        for field in meta.many_to_many:
            signals.m2m_changed.connect(
                guarded(self._relates),
                sender=field.remote_field.through,
                weak=False,
                dispatch_uid=f"{uid}.{field.name}",
            )

    def _changes(
        self, instance: Any, using: str, update_fields: Collection[str] | None, **_kwargs: Any
    ) -> None:
        """Look at what is stored too: the channel that is lost is that of the old values."""
        fields = self._fields
        if fields and update_fields is not None:
            fields = [f for f in fields if {f.name, f.attname} & set(update_fields)]
            if not fields:
                return
        old = stored(instance, using)
        if old is None:
            return
        names = [field.attname for field in fields]
        if names and all(_same(getattr(old, name), instance.__dict__.get(name)) for name in names):
            return
        note(instance, self._loss([old, instance]), using)

    def _changed(self, instance: Any, using: str, created: bool, **_: Any) -> None:
        if created:  # a new one may take rights away too: a ban
            self._lose([instance], using)
        saved(instance, using)

    def _goes(self, instance: Any, using: str, **_kwargs: Any) -> None:
        self._lose([instance], using)

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
        if action not in {"post_add", "pre_remove", "pre_clear"}:
            return
        rows = self._model._base_manager.using(using)  # noqa: SLF001
        if not reverse:
            self._lose([instance], using)
        elif pk_set is not None:
            self._lose(rows.filter(pk__in=pk_set), using)
        else:
            many = self._model._meta.many_to_many  # noqa: SLF001
            field = next(f for f in many if f.remote_field.through is sender)
            self._lose(rows.filter(**{field.name: instance.pk}), using)

    def _lose(self, instances: Iterable[Any], using: str) -> None:
        whole = f"{self._cls.name}:*"
        if is_noted(using, whole):
            return
        crowded = is_crowded(connections[using])
        affected = Affected(channels={whole}) if crowded else self._loss(instances)
        run.revoke(affected, using=using)

    def _loss(self, instances: Iterable[Any]) -> Affected:
        affected = Affected()
        for instance in instances:
            try:
                found = self._channels(instance)
                many = [found] if isinstance(found, Mapping) else list(found or ())
                names = {self._cls.channel(**kwargs) for kwargs in many}
                if self._users is None or not names:
                    affected.channels |= names
                    continue
                for user in self._users(instance):
                    sub = str(getattr(user, "pk", user))
                    affected.subscriptions.setdefault(sub, set()).update(names)
            except Exception:
                # Not to know which channel it was must not open any: all of them are looked at.
                logger.exception(
                    "%s.depends_on raised: all its channels are asked.", self._cls.__qualname__
                )
                affected.channels.add(f"{self._cls.name}:*")
        return affected


def _same(old: Any, new: Any) -> bool:
    """Tell whether a field keeps its value, as far as it can be known before it is stored."""
    return not hasattr(new, "resolve_expression") and bool(old == new)
