"""``{% load instant %}{% instant_script %}{% instant_state "order:42" %}``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django import template
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from instant import html
from instant.exceptions import InstantConfigError
from instant.pages import loading
from instant.pages.fragments import tag

register = template.Library()


@register.simple_tag(takes_context=True)
def instant_script(context: template.Context, shared: bool | None = None) -> SafeString:
    """
    Load the client; ``window.instant`` and ``window.$instant`` exist from here on.

    With ``shared=True`` the tabs of a browser share one connection.
    """
    return html.script(loading.nonce(context), shared=shared)


@register.simple_tag(takes_context=True)
def instant_lite(context: template.Context) -> SafeString:
    """Load the lite script, for a page that only listens; ``window.instant`` exists from here."""
    return html.lite(loading.nonce(context))


@register.simple_tag(takes_context=True)
def instant_bell(context: template.Context) -> SafeString:
    """Show how many notifications are unread; <instant-bell> lists them on a click."""
    return html.bell(loading.nonce(context))


@register.simple_tag(takes_context=True)
def instant_live(context: template.Context) -> SafeString:
    """Load the script of live pages, for elements that are written by hand."""
    return html.live_script(context)


@register.simple_tag(takes_context=True)
def instant_state(context: template.Context, *channels: str | Iterable[str]) -> SafeString:
    """Put the states of channels into the page, see ``instant.html.state()``."""
    return html.state(_request(context, "instant_state", "who may see what"), *channels)


@register.simple_tag(takes_context=True)
def instant_source(context: template.Context, channel: str, events: str = "") -> SafeString:
    """Show what ``send_html()`` sends to the channel, and tell the page of its messages."""
    if loading.request_of(context) is None:
        return SafeString("")  # an email
    return html.live_script(context) + html.source(channel, events=events)


@register.simple_tag(takes_context=True)
def instant_stream(context: template.Context, channel: str, **attributes: Any) -> SafeString:
    """Show what is written to a channel, as it grows, see ``instant.html.stream()``."""
    request = _request(context, "instant_stream", "who may read what")
    shown = html.stream(request, channel, **attributes)
    # The element is last, next to what follows it in the template.
    return html.stream_script(request, loading.nonce(context)) + shown


@register.simple_tag(takes_context=True)
def instant_stream_script(context: template.Context) -> SafeString:
    """Load the script of <instant-stream>, for pages that get such elements later."""
    return html.stream_script(loading.request_of(context), loading.nonce(context))


@register.simple_tag(takes_context=True)
def livelist(context: template.Context, queryset: Any, template: str, **options: Any) -> SafeString:
    """Show the rows of a queryset and keep them up to date, see ``instant.html.livelist()``."""
    return html.livelist(context, queryset, template, **options)


_CACHED = {"_names_page": "False"}
"""The page of whoever came first is nobody else's business: others look at their own."""


@register.simple_tag(takes_context=True)
def instant_ws_url(context: template.Context) -> str:
    """Return where the message server is, the first address of several; for other clients."""
    found = html.websocket_url(_request(context, "instant_ws_url", "the host"))
    return found if isinstance(found, str) else found[0]


@register.filter
def payload(message: Any) -> Any:
    """Return the data of a stored message, ``{{ message|payload }}``; None where it has none."""
    found = getattr(message, "payload", None)
    return found.get("data") if isinstance(found, dict) else None


@register.simple_tag
def payload_pre(message: Any) -> SafeString:
    """Show the data of a stored message as indented JSON, escaped; nothing where it has none."""
    data = payload(message)
    if data is None:
        return SafeString("")
    return format_html("<pre>{}</pre>", json.dumps(data, indent=2, ensure_ascii=False))


@register.tag("live")
def live(parser: template.base.Parser, token: template.base.Token) -> template.Node:
    """Show an object, and show it again when it changes; see ``instant/pages/fragments/tag.py``."""
    return tag.parse(parser, token)


def _outside_of_caches(name: str, what: str) -> None:
    """Refuse a tag in a block that keeps what it renders for others."""
    compile_tag = register.tags[name]

    @register.tag(name)
    def compiled(parser: template.base.Parser, token: template.base.Token) -> Any:
        if any(block == "cache" for block, _token in parser.command_stack):
            raise template.TemplateSyntaxError(
                f"{{% {name} %}} can't stand in {{% cache %}}: others would get {what}. Put it "
                "behind {% endcache %}."
            )
        return compile_tag(parser, token)


_compile_list = register.tags["livelist"]


@register.tag("livelist")
def _public_in_caches(parser: template.base.Parser, token: template.base.Token) -> Any:
    """Refuse the tag in a block that keeps what it renders for others, unless it is for all."""
    in_cache = any(block == "cache" for block, _token in parser.command_stack)
    if in_cache and "public=True" not in token.split_contents():
        raise template.TemplateSyntaxError(
            "{% livelist %} can't stand in {% cache %}: others would get one viewer's rows. Put it "
            "behind {% endcache %}, or say public=True if the rows are the same for everybody."
        )
    node: Any = _compile_list(parser, token)
    if in_cache:
        node.kwargs |= {name: parser.compile_filter(said) for name, said in _CACHED.items()}
    return node


_outside_of_caches("instant_state", "one viewer's state, and a position that is old")
_outside_of_caches("instant_stream", "what one viewer may read, and no more of it")


def _request(context: template.Context, name: str, what: str) -> HttpRequest:
    found = loading.request_of(context)
    if found is None:
        raise InstantConfigError(
            f"{{% {name} %}} needs the request, to know {what}: render(request, …)."
        )
    return found
