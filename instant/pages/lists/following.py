"""Which models' changes are followed, and for which lists they count."""

from __future__ import annotations

from typing import Any

from django.apps import apps

from instant.broadcasting.declaration import Declaration, declarations

__all__ = ["declaration_of", "follows", "read", "senders"]

_labels: dict[type, tuple[str, ...]] = {}
"""By model that sends signals, the labels of those whose lists its changes count for."""

_declared: dict[type, Declaration] = {}


def read() -> None:
    """Read what the models say; called when the apps are ready."""
    _labels.clear()
    _declared.clear()
    for declaration in declarations():
        if declaration.lists:
            _declared[declaration.model] = declaration
    followed = [model for model in apps.get_models(include_auto_created=True) if _find(model)]
    for model in followed:
        family = {_label(other) for other in followed if _are_related(model, other)}
        _labels[model] = tuple(sorted(family))


def follows(model: type) -> bool:
    """Tell whether changes of the model are followed."""
    return model in _labels


def senders() -> dict[type, tuple[str, ...]]:
    """Return the models to listen to, each with the labels of the models whose lists it changes."""
    return dict(_labels)


def declaration_of(model: type) -> Declaration | None:
    """Return what the model, or the one that it is made of, has declared."""
    return _find(model)


def _find(model: Any) -> Declaration | None:
    """Return the declaration: its own, else its nearest parent's, or that of what it stands for."""
    own = next((_declared[one] for one in model.__mro__ if one in _declared), None)
    if own is not None:
        return own
    concrete = model._meta.concrete_model  # noqa: SLF001
    for declared, declaration in _declared.items():
        if declared._meta.concrete_model is concrete:  # type: ignore[attr-defined]  # noqa: SLF001
            return declaration
    return None


def _label(model: Any) -> str:
    label: str = model._meta.concrete_model._meta.label_lower  # noqa: SLF001  Django's documented API
    return label


def _are_related(one: Any, other: Any) -> bool:
    """Tell whether both have rows of the same table."""
    first, second = one._meta.concrete_model, other._meta.concrete_model  # noqa: SLF001
    return issubclass(first, second) or issubclass(second, first)
