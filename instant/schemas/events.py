"""The events of a namespace, with the type of each one's data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, get_type_hints

from instant import namespaces
from instant.namespaces import Namespace, registered
from instant.schemas.serializers import is_serializer, schema_of, wrong_fields

__all__ = ["EventType", "are_declared", "declared", "events_of", "problems"]

_KEY = "_instant_events"


class EventType:
    """What the data of one event is: a dataclass, a TypedDict, a pydantic model or a serializer."""

    def __init__(self, name: str, annotation: Any) -> None:
        self.name = name
        self.annotation = annotation
        self.is_serializer = is_serializer(annotation)

    @cached_property
    def adapter(self) -> Any:
        """Pydantic's TypeAdapter; not for a serializer."""
        from pydantic import TypeAdapter  # noqa: PLC0415  only who declares events pays

        return TypeAdapter(self.annotation)

    def plain(self, data: Any) -> Any:
        """Return the data as JSON has it, where it is an instance of a dataclass or a model."""
        is_instance = dataclasses.is_dataclass(data) and not isinstance(data, type)
        if is_instance or hasattr(data, "model_dump"):
            from pydantic import TypeAdapter  # noqa: PLC0415  see adapter

            return TypeAdapter(type(data)).dump_python(data, mode="json", by_alias=True)
        return data

    def wrong(self, data: Any) -> str:
        """Return what is wrong with data, by field; ``""`` where nothing is."""
        if self.is_serializer:
            return wrong_fields(self.annotation, data)
        from pydantic import ValidationError  # noqa: PLC0415  see adapter

        try:
            self.adapter.validate_python(data)
        except ValidationError as exc:
            errors = exc.errors(include_url=False, include_input=False, include_context=False)
            told = [
                f"{'.'.join(map(str, error['loc'])) or 'data'}: {error['msg']}" for error in errors
            ]
            return "; ".join(told[:10])
        return ""

    @property
    def serializer_schema(self) -> Mapping[str, Any]:
        """The JSON Schema of a serializer."""
        return schema_of(self.annotation)


def events_of(cls: type[Namespace]) -> Mapping[str, EventType]:
    """Return the events that a namespace declares, by name; raises what its annotations raise."""
    found: Mapping[str, EventType] | None = cls.__dict__.get(_KEY)
    if found is None:
        given = cls.events
        if isinstance(given, type):
            given = {
                name: vars(given)[name] if name in vars(given) and hint is Any else hint
                for name, hint in get_type_hints(given, include_extras=True).items()
            }
        found = {name: EventType(name, hint) for name, hint in (given or {}).items()}
        setattr(cls, _KEY, found)
    return found


def are_declared() -> bool:
    """Tell whether any namespace declares events: one look at each."""
    return any(cls.events is not None for cls in namespaces._registry)  # noqa: SLF001  no copy


def declared() -> Iterator[tuple[type[Namespace], EventType]]:
    """Yield all events, each with its namespace."""
    for cls in registered():
        if cls.events is not None:
            for event in events_of(cls).values():
                yield cls, event


def problems(cls: type[Namespace]) -> Iterator[str]:
    """Yield what is wrong with the events of a namespace."""
    where = f"{cls.__module__}.{cls.__qualname__}.events"
    if cls.events is None:
        return
    if not isinstance(cls.events, type | Mapping):
        yield f"{where} must be a class with annotations, or a dict of types, not {cls.events!r}."
        return
    try:
        found = events_of(cls)
    except Exception as exc:  # noqa: BLE001  whatever an annotation can do wrong
        yield f"{where}: its annotations can't be read: {exc}"
        return
    if not found:
        yield f"{where} has no annotations: write “shipped: Shipped”."
    for event in found.values():
        try:
            _ = event.serializer_schema if event.is_serializer else event.adapter
        except Exception as exc:  # noqa: BLE001  likewise
            yield f"{where}.{event.name}: {str(exc).splitlines()[0]}"
