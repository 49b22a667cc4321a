"""JSON in protobuf's Struct and Value, whose numbers are doubles, both ways."""

from __future__ import annotations

from math import isfinite
from typing import Any

from instant.inbound.answers import Refused

__all__ = ["from_struct", "set_value"]

EXACT = 2**53
"""Up to here a double tells each whole number from the next."""


def from_struct(struct: Any) -> dict[str, Any]:
    """
    Return the payload that a Struct holds, whose whole numbers are ints again.

    Raises Refused (400) for a number that may have been another one where it was sent, or is none.
    """
    return {name: _from_value(name, value) for name, value in struct.fields.items()}


def _from_value(name: str, value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return _number(name, value.number_value)
    if kind == "struct_value":
        return {
            inner: _from_value(f"{name}.{inner}", of)
            for inner, of in value.struct_value.fields.items()
        }
    if kind == "list_value":
        return [_from_value(f"{name}.{n}", of) for n, of in enumerate(value.list_value.values)]
    return None if kind in {"null_value", None} else getattr(value, kind)


def _number(name: str, number: float) -> int | float:
    if not isfinite(number):
        raise Refused(400, f"{name}: a number must be finite")
    if not number.is_integer():
        return number
    if abs(number) > EXACT:
        raise Refused(400, f"{name}: send whole numbers over 2**53 as strings; a double has others")
    return int(number)


def set_value(value: Any, data: Any) -> None:
    """
    Write JSON into a Value; whole numbers over 2**53 become strings.

    Half a surrogate pair, which is in no UTF-8, becomes “?”.
    """
    if data is None:
        value.null_value = 0
    elif isinstance(data, bool):
        value.bool_value = data
    elif isinstance(data, str):
        value.string_value = _text(data)
    elif isinstance(data, int):
        if abs(data) > EXACT:
            value.string_value = str(data)
        else:
            value.number_value = data
    elif isinstance(data, float):
        value.number_value = data
    elif isinstance(data, dict):
        value.struct_value.SetInParent()
        for name, inner in data.items():
            set_value(value.struct_value.fields[_text(name)], inner)
    else:
        value.list_value.SetInParent()
        for inner in data:
            set_value(value.list_value.values.add(), inner)


def _text(data: str) -> str:
    return data if data.isascii() else data.encode(errors="replace").decode()
