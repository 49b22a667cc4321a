"""Rows as pages show them: as HTML, or as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from django.http import HttpRequest
from django.template import loader
from django.template.context import make_context
from django.utils import timezone, translation

from instant.pages.zone import zone_named

__all__ = ["KEY", "rendered"]

KEY = "data-instant-key"
"""The attribute by which a page's script knows a row."""

_BEGIN = re.compile(r"(\s*(?:<!--.*?-->\s*)*<[a-zA-Z][^\s/>]*)", re.DOTALL)


def rendered(
    how: Mapping[str, Any], objects: Iterable[Any], request: HttpRequest | None
) -> dict[str, Any]:
    """
    Return what is shown of each object, by its key, in language and time zone of the list.

    Raises ValueError for a template that doesn't begin with an element.
    """
    if "columns" in how:
        return {str(values.pop("pk")) if "pk" not in how["columns"] else str(values["pk"]): values
                for values in objects}  # fmt: skip
    name = how["template"]
    with ExitStack() as stack:
        if how.get("language"):
            stack.enter_context(translation.override(how["language"]))
        if (zone := zone_named(how.get("zone", ""))) is not None:
            stack.enter_context(timezone.override(zone))
        return {str(one.pk): _marked(html, one, name) for one, html in _each(how, objects, request)}


def _each(how: Mapping[str, Any], objects: Iterable[Any], request: HttpRequest | None) -> Any:
    """Yield each object with its HTML; Django's own templates get one context for all."""
    found: Any = loader.get_template(how["template"])
    if not hasattr(found.template, "nodelist"):
        for one in objects:
            yield one, found.render({how["name"]: one}, request)
        return
    context = make_context({}, request, autoescape=found.backend.engine.autoescape)
    with context.bind_template(found.template):
        for one in objects:
            with context.push(**{how["name"]: one}):
                yield one, found.template.render(context)


def _marked(html: str, one: Any, name: str) -> str:
    """Return a row's HTML with its key."""
    key = str(one.pk).replace("&", "&amp;").replace('"', "&quot;")
    marked, count = _BEGIN.subn(lambda found: f'{found[1]} {KEY}="{key}"', html, count=1)
    if not count or _BEGIN.match(html) is None:
        raise ValueError(
            f"{name} must begin with the element of the row, as “<tr>” or “<li>”, and have no "
            "other beside it."
        )
    return marked.strip()
