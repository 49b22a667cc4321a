"""The types of all events and methods, as a TypeScript module."""

from __future__ import annotations

from typing import Any

from instant.inbound.openapi import adapters
from instant.inbound.registry import Handler, handlers
from instant.inbound.reserved import REQUESTS
from instant.schemas.events import declared
from instant.schemas.typescript import declaration, identifier, key, type_of

__all__ = ["Schemas", "methods", "typescript"]

_REF = "#/components/schemas/{model}"

_HEAD = """\
// Written by “manage.py instanttypes” from the declarations in Python. Changes here are lost.
import "djangoinstant"

declare module "djangoinstant" {
"""


class Schemas:
    """The JSON Schemas of everything that is declared, which share their definitions."""

    def __init__(self, ref: str = _REF) -> None:
        self.events: dict[tuple[str, str], Any] = {}
        """By namespace and event."""
        self.arguments: dict[str, Any] = {}
        """By method."""
        self.results: dict[str, Any] = {}
        """By method."""
        inputs: list[tuple[Any, Any, Any]] = []
        for cls, event in declared():
            if event.is_serializer:
                self.events[cls.name, event.name] = event.serializer_schema
            else:
                inputs.append((("event", cls.name, event.name), "serialization", event.adapter))
        for handler in methods():
            for mode, adapter in adapters(handler):
                what = "arguments" if mode == "validation" else "result"
                inputs.append(((what, handler.name), mode, adapter))
        self.definitions: dict[str, Any] = {}
        if inputs:
            self._fill(inputs, ref)

    def arguments_of(self, handler: Handler) -> Any:
        """Return the schema of a method's arguments; what only the method has needs no name."""
        schema = self.arguments.get(handler.name, {})
        if handler.arguments.is_whole:
            return schema
        name = schema.get("$ref", "").rpartition("/")[2]
        return self.definitions.get(name, schema)

    def named(self) -> dict[str, Any]:
        """Return the definitions without those of arguments that one method only has."""
        own = {
            self.arguments.get(handler.name, {}).get("$ref", "").rpartition("/")[2]
            for handler in methods()
            if not handler.arguments.is_whole
        }
        return {name: schema for name, schema in self.definitions.items() if name not in own}

    def _fill(self, inputs: list[tuple[Any, Any, Any]], ref: str) -> None:
        from pydantic import TypeAdapter  # noqa: PLC0415  only who declares pays

        found, rest = TypeAdapter.json_schemas(inputs, by_alias=True, ref_template=ref)
        self.definitions = rest.get("$defs", {})
        for (name, _mode), schema in found.items():
            kind, *more = name
            if kind == "event":
                self.events[more[0], more[1]] = schema
            elif kind == "arguments":
                self.arguments[more[0]] = schema
            else:
                self.results[more[0]] = schema


def methods() -> list[Handler]:
    """Return the handlers of methods that pages call by name: no patterns, no responders."""
    found = {h.name: h for h in handlers("rpc") if "*" not in h.name}  # of two a check tells
    return [found[name] for name in sorted(found) if not name.startswith(REQUESTS)]


def _as_template(pattern: str) -> str:
    """Return a pattern of methods as a template literal type: for names it has no backtick."""
    return pattern.replace("*", "${string}")


def typescript() -> str:
    """
    Return a module that tells the client's types what Python declares.

    ``InstantEvents`` has the data of each event; where two namespaces have one of the same name,
    it is one of both. ``InstantMethods`` has the arguments and results of the methods that pages
    call; those of a pattern may be anything.
    """
    schemas = Schemas()
    events: dict[str, list[str]] = {}
    for (_namespace, name), schema in schemas.events.items():
        found = events.setdefault(name, [])
        if (made := type_of(schema, "    ")) not in found:
            found.append(made)
    lines = [_HEAD.rstrip("\n"), "  interface InstantEvents {"]
    lines += [f"    {key(name)}: {' | '.join(events[name])}" for name in sorted(events)]
    lines += ["  }", "  interface InstantMethods {"]
    for handler in methods():
        name = handler.name
        takes = "undefined"
        if handler.arguments.adapter is not None:
            takes = type_of(schemas.arguments_of(handler), "    ")
        gives = type_of(schemas.results.get(name, {}), "    ")
        lines.append(f"    {key(name)}: {{ arguments: {takes}; result: {gives} }}")
    for name in sorted({h.name for h in handlers("rpc") if "*" in h.name}):
        pattern = _as_template(name)
        lines.append(f"    [method: `{pattern}`]: {{ arguments: unknown; result: unknown }}")
    lines += ["  }", "}"]
    for name, schema in sorted(schemas.named().items()):
        lines += ["", declaration(identifier(name), schema)]
    return "\n".join(lines) + "\n"
