"""JSON Schema as TypeScript."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["declaration", "key", "type_of"]

_NAME = re.compile(r"[A-Za-z_$][\w$]*")

_SIMPLE = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def key(name: str) -> str:
    """Return a property's name, quoted where it has to be."""
    return name if _NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def declaration(name: str, schema: Mapping[str, Any]) -> str:
    """Return the declaration of a named type."""
    if schema.get("type") == "object" and "properties" in schema:
        return f"export interface {name} {type_of(schema)}"
    return f"export type {name} = {type_of(schema)}"


def type_of(schema: Any, indent: str = "") -> str:
    """Return the type of a schema; ``unknown`` where it says nothing."""
    if not isinstance(schema, Mapping):
        return "unknown" if schema is not False else "never"
    if "$ref" in schema:
        return identifier(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    for several, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if several in schema:
            return sign.join(dict.fromkeys(_in_union(one, indent) for one in schema[several]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(type_of({**schema, "type": one}, indent) for one in kind)
    if kind == "array":
        return _array(schema, indent)
    if kind == "object":
        return _object(schema, indent)
    return _SIMPLE.get(kind or "", "unknown")


def identifier(name: str) -> str:
    """Return a name as TypeScript allows it: pydantic's may have brackets and dots."""
    return re.sub(r"\W+", "_", name).strip("_") or "_"


def _in_union(schema: Any, indent: str) -> str:
    found = type_of(schema, indent)
    return f"({found})" if "&" in found and "{" not in found else found


def _array(schema: Mapping[str, Any], indent: str) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(type_of(one, indent) for one in schema['prefixItems'])}]"
    item = type_of(schema.get("items", {}), indent)
    return f"({item})[]" if re.search(r"[|&]", item) and not item.startswith("{") else f"{item}[]"


def _object(schema: Mapping[str, Any], indent: str) -> str:
    properties = schema.get("properties")
    if not properties:
        more = schema.get("additionalProperties", {})
        if more is False:
            return "Record<string, never>"
        return f"Record<string, {type_of(more, indent)}>"
    required, inner = set(schema.get("required", ())), f"{indent}  "
    lines = []
    for name, one in properties.items():
        if text := " ".join(str(one.get("description", "")).split()):
            lines.append(f"{inner}/** {text.replace('*/', '* /')} */")
        sign = "" if name in required else "?"
        lines.append(f"{inner}{key(name)}{sign}: {type_of(one, inner)}")
    return "\n".join(["{", *lines, f"{indent}}}"])
