"""Models on which the rules of namespaces depend (``Namespace.depends_on``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.db.models import signals

from instant.namespaces import Namespace, registered
from instant.revoking import run
from instant.revoking.affected import Affected
from instant.revoking.receivers.stored import note, saved, senders, stored

__all__ = ["connect", "problems"]

logger = logging.getLogger("instant.enforcement")


def connect() -> None:
    """Listen to the models of all declared namespaces; called when the apps are ready."""
    for cls in registered():
        for label, arguments in cls.depends_on.items():
            try:
                model = apps.get_model(label)
            except (LookupError, ValueError):
                continue  # a check names it
            _Dependency(cls, model, arguments).connect()


def problems(cls: type[Namespace]) -> Iterator[str]:
    """Yield what is wrong with a namespace's ``depends_on``."""
    where = f"{cls.__module__}.{cls.__qualname__}.depends_on"
    if not isinstance(cls.depends_on, Mapping):
        yield f"{where} must be a dict of “app.Model” and a function, not {cls.depends_on!r}."
        return
    for label, arguments in cls.depends_on.items():
        try:
            apps.get_model(label)
        except (LookupError, ValueError, AttributeError):
            yield f"{where}: there is no model {label!r}. Name it as “app.Model”."
        if not callable(arguments):
            yield f"{where}[{label!r}] must be a function of an instance, not {arguments!r}."
    if cls.depends_on and cls.authorize == "open":
        yield f"{where}: an open namespace has no rule that could depend on anything."


class _Dependency:
    """A namespace that looks at a model."""

    def __init__(self, cls: type[Namespace], model: Any, arguments: Callable[[Any], Any]) -> None:
        self._cls, self._model, self._arguments = cls, model, arguments

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
                signal.connect(receiver, sender=sender, weak=False, dispatch_uid=name)
        for field in meta.many_to_many:
            signals.m2m_changed.connect(
                self._relates,
                sender=field.remote_field.through,
                weak=False,
                dispatch_uid=f"{uid}.{field.name}",
            )

    def _changes(self, instance: Any, using: str, raw: bool, **_kwargs: Any) -> None:
        """Look at what is stored too: the channel that is lost is that of the old values."""
        if not raw and run.is_on() and (old := stored(instance, using)) is not None:
            note(instance, self._loss([old, instance]))

    def _changed(self, instance: Any, using: str, raw: bool, created: bool, **_: Any) -> None:
        if created and not raw:  # a new one may take rights away too: a ban
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
        if run.is_on():
            run.revoke(self._loss(instances), using=using)

    def _loss(self, instances: Iterable[Any]) -> Affected:
        affected = Affected()
        for instance in instances:
            try:
                found = self._arguments(instance)
                many = [found] if isinstance(found, Mapping) else list(found or ())
                affected.channels |= {self._cls.channel(**kwargs) for kwargs in many}
            except Exception:
                # Not to know which channel it was must not open any: all of them are looked at.
                logger.exception(
                    "%s.depends_on raised: all its channels are asked.", self._cls.__qualname__
                )
                affected.channels.add(f"{self._cls.name}:*")
        return affected
