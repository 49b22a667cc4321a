"""
Fragments as HTML: the same in the page and when they are asked for later.

A template gets the object, the values of the tag and what context processors add, and nothing else
of the page's context. A public one gets no request either.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Protocol

from django.http import HttpRequest
from django.template import Node, NodeList, Template
from django.template.context import make_context
from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.safestring import SafeString, mark_safe

from instant.pages.fragments.fragment import Fragment
from instant.pages.reference import InvalidReference
from instant.pages.zone import zone_named

__all__ = ["Block", "find_block", "render", "render_block", "render_template", "zone"]


class Block(Protocol):
    """A node of a template: {% live %} with {% endlive %}."""

    digest: str
    nodelist: NodeList


def zone() -> str:
    """Return the name of the time zone that is active; ``""`` for that of the settings."""
    current = timezone.get_current_timezone_name()
    return "" if current == timezone.get_default_timezone_name() else current


def render(fragment: Fragment, instance: Any, request: HttpRequest) -> SafeString:
    """Return the HTML in the language and the time zone of the page."""
    values = {fragment.name: instance, **fragment.values}
    asking = None if fragment.public else request
    with ExitStack() as active:
        if fragment.language:
            active.enter_context(translation.override(fragment.language))
        if (found := zone_named(fragment.zone)) is not None:
            active.enter_context(timezone.override(found))
        if not fragment.block:
            return render_template(fragment.template, values, asking)
        block, template = find_block(fragment.template, fragment.block)
        if block is None:
            raise InvalidReference("The template has no such {% live %} any more.")
        return render_block(block, template, values, asking)


def render_template(name: str, values: dict[str, Any], request: HttpRequest | None) -> SafeString:
    """Return what a template makes of the values."""
    return mark_safe(get_template(name).render(dict(values), request))  # noqa: S308  it is HTML


def render_block(
    block: Block, template: Template, values: dict[str, Any], request: HttpRequest | None
) -> SafeString:
    """Return what is between {% live %} and {% endlive %}, as if that were a template."""
    context = make_context(dict(values), request, autoescape=template.engine.autoescape)
    with context.bind_template(template), context.render_context.push_state(template):
        return block.nodelist.render(context)


def find_block(name: str, digest: str) -> tuple[Block | None, Template]:
    """Return the block in the template of that name, and the template."""
    template = getattr(get_template(name), "template", None)
    if not isinstance(template, Template):
        raise InvalidReference("The template is one of another engine now.")
    # A tag of ours is known by what it has: its class is where templates are compiled.
    nodes: list[Any] = template.nodelist.get_nodes_by_type(Node)
    found = [node for node in nodes if getattr(node, "is_live_block", False)]
    return next((node for node in found if node.digest == digest), None), template
