"""Models on which the rules of namespaces depend (``Namespace.depends_on``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.db.models import signals

from instant import enforcement
from instant.losses import Loss
from instant.namespaces import Namespace, registered
from instant.receivers.senders import senders

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
            _connect(cls, model, arguments)


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


def _connect(cls: type[Namespace], model: Any, arguments: Callable[[Any], Any]) -> None:
    uid = f"instant.{cls.__module__}.{cls.__qualname__}.{model._meta.label}"  # noqa: SLF001

    def changed(instance: Any, using: str, raw: bool = False, **_kwargs: Any) -> None:
        if not raw:
            _lose(cls, arguments, [instance], using)

    def related(
        instance: Any, action: str, reverse: bool, pk_set: Any, using: str, **_kwargs: Any
    ) -> None:
        if action not in {"post_add", "pre_remove", "pre_clear"}:
            return
        instances: Iterable[Any] = [instance]
        if reverse and pk_set is not None:
            instances = model._base_manager.using(using).filter(pk__in=pk_set)  # noqa: SLF001
        elif reverse:
            instances = _of_related(model, _kwargs["sender"], instance, using)
        _lose(cls, arguments, instances, using)

    for sender in senders(model):
        signals.post_save.connect(changed, sender=sender, weak=False, dispatch_uid=f"{uid}.save")
        signals.pre_delete.connect(changed, sender=sender, weak=False, dispatch_uid=f"{uid}.del")
    for field in model._meta.many_to_many:  # noqa: SLF001
        signals.m2m_changed.connect(
            related,
            sender=field.remote_field.through,
            weak=False,
            dispatch_uid=f"{uid}.{field.name}",
        )


def _of_related(model: Any, through: Any, other: Any, using: str) -> Iterable[Any]:
    """Return the instances that are about to lose ``other``, all of them at once."""
    for field in model._meta.many_to_many:  # noqa: SLF001
        if field.remote_field.through is through:
            manager = model._base_manager.using(using)  # noqa: SLF001
            return list(manager.filter(**{field.name: other.pk}))
    return ()


def _lose(
    cls: type[Namespace], arguments: Callable[[Any], Any], instances: Iterable[Any], using: str
) -> None:
    if not enforcement.is_on():
        return
    loss = Loss()
    for instance in instances:
        try:
            found = arguments(instance)
            many = [found] if isinstance(found, Mapping) else list(found or ())
            loss.channels |= {cls.channel(**kwargs) for kwargs in many}
        except Exception:
            # Not to know which channel it was must not open any: all of them are looked at.
            logger.exception("%s.depends_on raised: all its channels are asked.", cls.__qualname__)
            loss.channels.add(f"{cls.name}:*")
    enforcement.lose(loss, using=using)
