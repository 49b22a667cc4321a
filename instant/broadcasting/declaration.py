"""What a model says of its own broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Field, ManyToManyField, Model
from django.utils.module_loading import import_string

from instant.exceptions import InstantConfigError

__all__ = ["EVENTS", "Declaration", "declarations", "problems", "register"]

EVENTS = ("created", "updated", "deleted")

_OPTIONS = {
    "channels", "events", "fields", "payload", "serializer", "is_deleted", "name", "lists",
    "visible_to",
}  # fmt: skip

_registry: list[tuple[Any, type]] = []
"""What was declared for models of others: model or label, and the class that says what."""


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """What becomes of which fields is told on which channels."""

    model: type[Model]
    name: str
    """What the event classes begin with: ``order`` makes ``order.created``."""
    channels: Callable[[Any], Any]
    """Returns the channel, or the channels, of an instance."""
    events: frozenset[str]
    fields: tuple[Field[Any, Any], ...] | None
    """The columns that cause a message and are in it; None: all cause one, none is in it."""
    many: tuple[ManyToManyField[Any, Any], ...]
    payload: Callable[[Any], Any] | None
    """Returns the data of a message about an instance, instead of primary key and fields."""
    is_deleted: Callable[[Any], Any] | None
    """Tells of an instance whether it counts as deleted though its row is there."""
    visible_to: Callable[[Any, Any], Any] | None
    """Returns of a queryset what a user may see in pages, where that isn't all."""
    lists: bool
    """Whether live lists follow it."""

    @property
    def tells(self) -> bool:
        """Whether there is a channel to tell, now or for some instance."""
        return not (isinstance(self.channels, _Fixed) and self.channels.is_empty)


def register(model: Any, options: type) -> None:
    """Note what is declared for a model of somebody else's."""
    _registry.append((model, options))


def declarations() -> Iterator[Declaration]:
    """Yield those of all models, without those that can't work; a check names them."""
    for model, options, _where in _declared():
        if not list(_wrong(model, options)):
            yield _read(model, options)


def problems() -> Iterator[str]:
    """Yield what is wrong with the declarations."""
    for model, _options in _registry:
        if _find(model) is None:
            yield f"@broadcasts({model!r}): there is no such model. Name it as “app.Model”."
    seen: dict[type, str] = {}
    for model, options, where in _declared():
        for problem in _wrong(model, options):
            yield f"{where}{problem}"
        if model in seen:
            yield f"{where}: {model._meta.label} broadcasts already, as {seen[model]} says."  # noqa: SLF001
        seen.setdefault(model, where)


def _declared() -> Iterator[tuple[type[Model], type, str]]:
    """Yield each model with its options; a child or proxy has its parent's, unless it has own."""
    for model in apps.get_models(include_auto_created=True):
        own = getattr(model, "Instant", None)
        if isinstance(own, type) and not issubclass(own, Model):
            yield model, own, f"{model.__module__}.{model.__qualname__}.Instant"
    for given, options in _registry:
        parent = _find(given)
        for model in apps.get_models(include_auto_created=True) if parent is not None else ():
            if model is parent or (issubclass(model, parent) and model._meta.proxy):  # noqa: SLF001
                yield model, options, f"{options.__module__}.{options.__qualname__}"


def _find(model: Any) -> Any:
    if isinstance(model, type):
        return model if issubclass(model, Model) else None
    try:
        return apps.get_model(model)
    except (LookupError, ValueError, AttributeError):
        return None


def _given(options: type) -> dict[str, Any]:
    names = {name for name in dir(options) if not name.startswith("_")}
    return {name: getattr(options, name) for name in names}


def _wrong(model: Any, options: type) -> Iterator[str]:
    given = _given(options)
    for name in sorted(set(given) - _OPTIONS):
        yield f".{name} is unknown. Known are: {', '.join(sorted(_OPTIONS))}."
    yield from _wrong_channels(given)
    events = given.get("events", EVENTS)
    if isinstance(events, str) or not set(events) <= set(EVENTS):
        yield f".events must be some of {', '.join(map(repr, EVENTS))}, not {events!r}."
    for name in ("payload", "is_deleted", "visible_to"):
        if name in given and not callable(given[name]):
            yield f".{name} must be a function, not {given[name]!r}."
    if "payload" in given and "serializer" in given:
        yield " has a payload and a serializer. One of them makes the message."
    if "serializer" in given:
        try:
            _serializer(given["serializer"])
        except InstantConfigError as exc:
            yield f".serializer: {exc}"
    if given.get("fields") is not None:
        yield from _wrong_fields(model, given["fields"])


def _wrong_channels(given: Mapping[str, Any]) -> Iterator[str]:
    channels, lists = given.get("channels"), given.get("lists", False)
    if lists not in (True, False):
        yield f".lists must be True or False, not {lists!r}."
    if channels is None and lists is True:
        return
    if not callable(channels) and not _are_names(channels):
        yield ".channels must be a channel, a list of them, or a function of an instance."


def _wrong_fields(model: Any, fields: Any) -> Iterator[str]:
    if isinstance(fields, str) or not isinstance(fields, Collection):
        yield f".fields must be a list of names of fields, not {fields!r}."
        return
    meta = model._meta  # noqa: SLF001
    known = {field.name for field in (*meta.concrete_fields, *meta.many_to_many)}
    for name in fields:
        if name not in known:
            yield f".fields: {name!r} is no field of {meta.label}."


def _are_names(channels: Any) -> bool:
    many = [channels] if isinstance(channels, str) else channels
    return isinstance(many, list | tuple) and all(isinstance(name, str) for name in many)


def _read(model: Any, options: type) -> Declaration:
    given = _given(options)
    channels, meta = given.get("channels", ()), model._meta  # noqa: SLF001
    fields = given.get("fields")
    found = None if fields is None else [meta.get_field(name) for name in fields]
    payload = given.get("payload")
    if "serializer" in given:
        payload = _Serialized(given["serializer"])
    return Declaration(
        model=model,
        name=given.get("name") or meta.model_name,
        channels=channels if callable(channels) else _Fixed(channels),
        events=frozenset(given.get("events", EVENTS)),
        fields=None if found is None else tuple(f for f in found if not f.many_to_many),
        many=() if found is None else tuple(f for f in found if f.many_to_many),
        payload=payload,
        is_deleted=given.get("is_deleted"),
        visible_to=given.get("visible_to"),
        lists=given.get("lists", False),
    )


def _serializer(given: Any) -> Any:
    if isinstance(given, str):
        try:
            given = import_string(given)
        except ImportError as exc:
            raise InstantConfigError(str(exc)) from exc
    if not hasattr(given, "data"):
        raise InstantConfigError(f"{given!r} is no serializer of Django REST framework.")
    return given


class _Serialized:
    """Makes a payload by a serializer, which is imported when it is first used."""

    def __init__(self, serializer: Any) -> None:
        self._given = serializer

    def __call__(self, instance: Any) -> Mapping[str, Any]:
        data: Mapping[str, Any] = _serializer(self._given)(instance).data
        return data


class _Fixed:
    """Returns the same channels for every instance."""

    def __init__(self, channels: Any) -> None:
        self._channels = channels
        self.is_empty = not channels

    def __call__(self, _instance: Any) -> Any:
        return self._channels
