"""From the payload of a call to the arguments of a function, by its annotations."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from typing import Any, NotRequired, Required, get_type_hints

from instant.inbound.answers import Refused

__all__ = ["Arguments"]

WHOLE = "data"
"""A parameter of this name, where it is the only one, gets the whole payload."""

_MAX_ERRORS = 1000
"""Of a payload that are looked at; of one with more it is only said how many."""

_VARIABLE = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


class Arguments:
    """
    The parameters of a handler behind the call, each from the payload or the channel's name.

    Parameters are taken from the payload, a JSON object, by name. A single one gets the whole
    payload if it is called ``data``, or if its annotation is a dataclass, a TypedDict or a
    pydantic model. Values are checked against the annotations by pydantic, which converts as
    it does for JSON; without an annotation any value will do. What the function doesn't name is
    refused, unless it takes ``**kwargs``.
    """

    def __init__(self, function: Callable[..., Any], of_channel: Collection[str] = ()) -> None:
        self._function = inspect.unwrap(function)
        parameters = list(inspect.signature(self._function).parameters.values())[1:]
        self.of_channel = frozenset(p.name for p in parameters if p.name in of_channel)
        """The names that the channel's name gives."""
        self._open = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        self._parameters = [
            p for p in parameters if p.name not in self.of_channel and p.kind not in _VARIABLE
        ]

    @property
    def names(self) -> list[str]:
        """The names that the payload has to give."""
        return [p.name for p in self._parameters]

    @property
    def required(self) -> list[str]:
        """Those of the names without which the function can't be called."""
        return [p.name for p in self._parameters if p.default is p.empty]

    def lacks(self, names: Collection[str]) -> list[str]:
        """Return which of the names that the channel's name gives the function doesn't take."""
        return [] if self._open else sorted(set(names) - self.of_channel)

    @property
    def is_whole(self) -> bool:
        """Whether one parameter gets the whole payload."""
        return bool(self._whole)

    @property
    def adapter(self) -> Any:
        """Pydantic's TypeAdapter of the payload; None where the function takes nothing of it."""
        return self._adapter if self._parameters or self._open else None

    @cached_property
    def lists(self) -> frozenset[str]:
        """The fields of a payload that are lists: in a form one value looks like a text."""
        if self.adapter is None:
            return frozenset()
        from pydantic.errors import PydanticInvalidForJsonSchema  # noqa: PLC0415  see read()

        try:
            schema = self.adapter.json_schema()
        except PydanticInvalidForJsonSchema:
            return frozenset()
        named = schema.get("$ref", "").rpartition("/")[2]
        fields = schema.get("$defs", {}).get(named, schema).get("properties", {})
        return frozenset(
            name
            for name, field in fields.items()
            if "array" in {field.get("type"), *(one.get("type") for one in field.get("anyOf", ()))}
        )

    def problems(self) -> Iterator[str]:
        """Yield why no payload could be read."""
        try:
            _ = self._adapter
        except Exception as exc:  # noqa: BLE001  whatever an annotation can do wrong
            yield f"its annotations can't be read: {exc}"

    def read(self, data: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments for a payload. Raises Refused (422), which names the field."""
        found = {name: value for name, value in kwargs.items() if name in self.of_channel}
        if not self._parameters and not self._open:
            return found
        from pydantic import ValidationError  # noqa: PLC0415  only who takes arguments pays

        try:
            if self._whole:
                return {**found, self._whole: self._adapter.validate_python(data)}
            return {**found, **self._adapter.validate_python({} if data is None else data)}
        except ValidationError as exc:
            count = exc.error_count()
            if count > _MAX_ERRORS:  # to list them takes longer than all the rest
                text = f"{count:,} values are wrong or not expected"
                raise Refused(422, f"data: {text}", fields={"data": text}) from None
            fields = _fields(exc.errors(include_url=False, include_input=False))
            raise Refused(422, fields=fields) from None

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self._function, include_extras=True)

    @cached_property
    def _whole(self) -> str:
        """The parameter that gets the whole payload, or ``""``."""
        names = self.names
        if WHOLE in names and len(names) == 1:
            return WHOLE
        if len(names) == 1 and not self._open and _is_record(self._hints.get(names[0])):
            return names[0]
        return ""

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import ConfigDict, TypeAdapter, with_config  # noqa: PLC0415  see read()
        from typing_extensions import TypedDict  # noqa: PLC0415  before Python 3.12 pydantic needs it

        if self._whole:
            return TypeAdapter(self._hints.get(self._whole, Any))
        fields = {
            p.name: (NotRequired if p.default is not p.empty else Required)[
                self._hints.get(p.name, Any)
            ]
            for p in self._parameters
        }
        shape = TypedDict(f"{self._function.__name__}_arguments", fields)  # type: ignore[misc]
        # By its module OpenAPI tells apart the functions of one name.
        shape.__module__ = self._function.__module__
        config = ConfigDict(extra="allow" if self._open else "forbid", arbitrary_types_allowed=True)
        return TypeAdapter(with_config(config)(shape))


def _is_record(annotation: Any) -> bool:
    """Tell whether values of an annotation are objects with named fields."""
    if not isinstance(annotation, type):
        return False
    # A TypedDict is a dict with __total__, whether typing's or typing_extensions'.
    return (
        dataclasses.is_dataclass(annotation)
        or hasattr(annotation, "model_validate")
        or (issubclass(annotation, dict) and hasattr(annotation, "__total__"))
    )


def _fields(errors: list[Any]) -> dict[str, str]:
    """Return what is wrong with each field, by its path such as ``lines.0.quantity``."""
    found: dict[str, str] = {}
    for error in errors:
        path = ".".join(map(str, error["loc"])) or "data"
        found.setdefault(path, _text(error))
    return found


def _text(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is not expected"
    if error["type"] == "value_error":  # a validator of the project's: its own words, and no more
        return str(error["ctx"]["error"])
    return str(error["msg"])
