"""Serializers of Django REST framework, as types of events; without importing it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["is_serializer", "schema_of", "wrong_fields"]

_TYPES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("BooleanField", {"type": "boolean"}),
    ("IntegerField", {"type": "integer"}),
    ("FloatField", {"type": "number"}),
    ("JSONField", {}),
    ("DictField", {"type": "object"}),
    ("SerializerMethodField", {}),
    ("ReadOnlyField", {}),
    ("RelatedField", {}),
    ("Field", {"type": "string"}),
)
"""The schema of a field by the first of its classes that is here; all others are texts."""


def _rest() -> Any:
    return sys.modules.get("rest_framework.serializers")


def is_serializer(annotation: Any) -> bool:
    """Tell whether it is a class of serializers; nobody has one without having imported them."""
    rest = _rest()
    return (
        rest is not None
        and isinstance(annotation, type)
        and issubclass(annotation, rest.BaseSerializer)
    )


def wrong_fields(serializer: Any, data: Any) -> str:
    """Return what a serializer finds wrong with data that it could have made; by field."""
    schema = schema_of(serializer)
    if not isinstance(data, Mapping):
        return f"data: must be an object, not {type(data).__name__}"
    told = [f"{name}: is missing" for name in schema["required"] if name not in data]
    told += [f"{name}: is no field" for name in data if name not in schema["properties"]]
    return "; ".join(told)


def schema_of(serializer: Any) -> dict[str, Any]:
    """Return the JSON Schema of what a serializer makes, as far as its fields tell."""
    return _schema(serializer() if isinstance(serializer, type) else serializer)


def _schema(field: Any) -> dict[str, Any]:
    rest = _rest()
    found: dict[str, Any]
    if isinstance(field, rest.ListSerializer):
        found = {"type": "array", "items": _schema(field.child)}
    elif isinstance(field, rest.Serializer):
        fields = {name: one for name, one in field.fields.items() if not one.write_only}
        found = {
            "type": "object",
            "properties": {name: _schema(one) for name, one in fields.items()},
            "required": [name for name, one in fields.items() if one.required or one.read_only],
            "additionalProperties": False,
        }
    elif isinstance(field, rest.ManyRelatedField):
        found = {"type": "array", "items": {}}
    elif isinstance(field, rest.ListField):
        found = {"type": "array", "items": _schema(field.child)}
    elif isinstance(field, rest.ChoiceField):
        found = {"enum": list(field.choices)}
        if isinstance(field, rest.MultipleChoiceField):
            found = {"type": "array", "items": found}
    elif isinstance(field, rest.DecimalField) and not field.coerce_to_string:
        found = {"type": "number"}
    else:
        names = {cls.__name__ for cls in type(field).__mro__}
        found = dict(next((schema for name, schema in _TYPES if name in names), {}))
    return {"anyOf": [found, {"type": "null"}]} if field.allow_null and found else found
