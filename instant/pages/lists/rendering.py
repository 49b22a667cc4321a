"""Rows as pages show them: as HTML, or as JSON."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.template import loader
from django.template.context import make_context
from django.utils import timezone, translation

from instant.pages.lists.roots import problem
from instant.pages.zone import zone_named

__all__ = ["KEY", "rendered"]

logger = logging.getLogger("instant.pages")

KEY = "data-instant-key"
"""The attribute by which a page's script knows a row."""

_BEGIN = re.compile(r"(\s*(?:<!--.*?-->\s*)*<[a-zA-Z][^\s/>]*)", re.DOTALL)


def rendered(
    how: Mapping[str, Any], objects: Iterable[Any], request: HttpRequest | None
) -> dict[str, Any]:
    """
    Return what is shown of each object, by its key, in language and time zone of the list.

    A template must make one element of a row. While ``DEBUG`` is on, ValueError is raised for any
    other; else it is logged, and a row without an element to begin with is left out.
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
        each = [(one, str(html)) for one, html in _each(how, objects, request)]
    _check(name, [html for _, html in each])
    marked = ((str(one.pk), _marked(html, one)) for one, html in each)
    return {key: html for key, html in marked if html is not None}


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


_checked: set[tuple[str, str]] = set()
"""Templates, and what was wrong with a row of theirs, of which the log has been told."""

_KNOWN = 1000


def _check(name: str, rows: list[str]) -> None:
    """Look at what a template makes of rows: without DEBUG at the first of each answer only."""
    for html in rows if settings.DEBUG else rows[:1]:
        found = problem(html)
        if not found:
            continue
        text = (
            f"{name} must make one element of a row, as “<tr>” or “<li>”, and nothing beside it. "
            f"Here it makes {found}: {html.strip()[:80]!r}"
        )
        if settings.DEBUG:
            raise ValueError(text)
        if (name, found) not in _checked and len(_checked) < _KNOWN:
            _checked.add((name, found))
            logger.error("%s", text)


def _marked(html: str, one: Any) -> str | None:
    """Return a row's HTML with its key; None where no element begins it."""
    key = str(one.pk).replace("&", "&amp;").replace('"', "&quot;")
    marked, count = _BEGIN.subn(lambda found: f'{found[1]} {KEY}="{key}"', html, count=1)
    return marked.strip() if count and _BEGIN.match(html) else None
