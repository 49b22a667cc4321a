"""
XML for JSON, both ways.

An element is an object with a field for each element in it, a list where all of them are
``<item>``, and a string where it has none. ``type`` says what else it is: ``number``,
``boolean``, ``null``, ``list`` or ``object``. ``<field name="…">`` is for names that no element
can have. What is written is read as the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any
from xml.sax.saxutils import escape, quoteattr

__all__ = ["NotXml", "XmlIsMissing", "finite", "read_xml", "write_xml"]

_NAME = re.compile(r"(?!xml)[A-Za-z_][-A-Za-z0-9_.]*", re.IGNORECASE)
_RESERVED = {"item", "field"}

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Source: XML 1.0, section 2.2."""

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,308})(\.\d{1,308})?([eE][-+]?\d{1,3})?", re.ASCII)

_TYPES = {"string", "number", "boolean", "null", "list", "object"}


class NotXml(ValueError):
    """It can't be read as XML, or not be written so. The message says why."""


class XmlIsMissing(NotXml):
    """Nothing is installed that reads XML from strangers."""


def read_xml(raw: bytes, max_depth: int) -> Any:
    """Return the value of a document's root. Raises NotXml; DTDs and entities are refused."""
    try:
        from defusedxml import DefusedXmlException  # noqa: PLC0415  an extra
        from defusedxml.ElementTree import ParseError, fromstring  # noqa: PLC0415
    except ImportError:
        raise XmlIsMissing('install "django-instant[xml]"') from None
    try:
        root = fromstring(raw, forbid_dtd=True)
    except DefusedXmlException:
        raise NotXml("The body has a DTD or entities, which are refused.") from None
    except (ParseError, ValueError, LookupError):
        raise NotXml("The body is not XML.") from None
    return _value(root, max_depth)


def _value(element: Any, depth: int) -> Any:
    if depth < 0:
        raise NotXml("The body is nested too deeply.")
    tag = _tag(element)
    left = element.attrib.keys() - {"type", *({"name"} if tag == "field" else ())}
    if left:
        raise NotXml(f"<{tag}> has the attribute “{min(left)}”; “type” is known.")
    kind = element.get("type", _kind(element))
    if kind not in _TYPES:
        raise NotXml(f"<{tag}> has an unknown type; known are {', '.join(sorted(_TYPES))}.")
    if kind in {"list", "object"}:
        if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
            raise NotXml(f"<{tag}> has both text and elements, or is no {kind}.")
        return _list(element, depth) if kind == "list" else _object(element, depth)
    if len(element):
        raise NotXml(f"<{tag}> has elements, and its type is {kind}.")
    return _plain(tag, kind, element.text or "")


def _kind(element: Any) -> str:
    if not len(element):
        return "string"
    return "list" if all(_tag(child) == "item" for child in element) else "object"


def _tag(element: Any) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _list(element: Any, depth: int) -> list[Any]:
    if any(_tag(child) != "item" for child in element):
        raise NotXml(f"<{_tag(element)}> is a list: each element in it is an <item>.")
    return [_value(child, depth - 1) for child in element]


def _object(element: Any, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in element:
        name = child.get("name", "") if _tag(child) == "field" else _tag(child)
        if name in found:
            raise NotXml(f"<{_tag(element)}> has “{name}” twice; a list has <item>s.")
        found[name] = _value(child, depth - 1)
    return found


def _plain(tag: str, kind: str, text: str) -> Any:
    if kind == "string":
        return text
    text = text.strip()
    if kind == "null" and not text:
        return None
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    if kind == "number" and _NUMBER.fullmatch(text):
        try:
            return json.loads(text, parse_float=finite)
        except ValueError:
            pass
    raise NotXml(f"<{tag}> is no {kind}.")


def finite(text: str) -> float:
    """Return a number of JSON's. Raises ValueError for one that only infinity would stand for."""
    value = float(text)
    if not isfinite(value):
        raise ValueError
    return value


def write_xml(value: Mapping[str, Any], root: str = "response") -> str:
    """Return a document for a JSON object. Raises NotXml where XML can't hold a text."""
    return '<?xml version="1.0" encoding="utf-8"?>\n' + "".join(_element(root, "", value))


def _element(tag: str, attributes: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield f"<{tag}{attributes}>{_escaped(value)}</{tag}>"
    elif isinstance(value, Mapping):
        yield f'<{tag}{attributes} type="object">'
        for name, inner in value.items():
            if _NAME.fullmatch(name) and name not in _RESERVED:
                yield from _element(name, "", inner)
            else:
                yield from _element("field", f" name={_quoted(name)}", inner)
        yield f"</{tag}>"
    elif isinstance(value, list):
        yield f'<{tag}{attributes} type="list">'
        for inner in value:
            yield from _element("item", "", inner)
        yield f"</{tag}>"
    elif value is None:
        yield f'<{tag}{attributes} type="null"/>'
    else:
        kind = "boolean" if isinstance(value, bool) else "number"
        yield f'<{tag}{attributes} type="{kind}">{json.dumps(value)}</{tag}>'


def _escaped(text: str) -> str:
    return escape(_checked(text), {"\r": "&#13;"})


def _quoted(text: str) -> str:
    return quoteattr(_checked(text), {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def _checked(text: str) -> str:
    if _NOT_IN_XML.search(text):
        raise NotXml("It has characters that XML can't hold.")
    return text
