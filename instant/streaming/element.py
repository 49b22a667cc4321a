"""A stream as an element of a page, with what is there of it now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.asyncio import async_unsafe
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from instant import conf, permissions
from instant.namespaces import find_namespace
from instant.pages import loading, privacy
from instant.rights.primary import read_user_again, reading_from_primary
from instant.streaming.reading import Part, read_part

__all__ = ["element", "script"]

_LOADED = "_instant_stream_script"


@async_unsafe(
    "Reading a stream would hold up the event loop of this thread. Render the page in another: "
    "“await sync_to_async(render)(request, …)”."
)
def element(request: HttpRequest, channel: str, attributes: Mapping[str, Any]) -> SafeString:
    """See ``instant.html.stream()``."""
    with reading_from_primary():
        read_user_again(request)
        part = _part(request, channel)
    own = {"channel": channel}
    if part is not None:
        own |= {"run": part.run, "length": str(part.end)}
        if part.end >= part.length:
            own["state"] = part.state
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    if taken := sorted({"channel", "run", "length", "state"} & given.keys()):
        raise ValueError(f"{{% instant_stream %}} sets the attribute {taken[0]!r} itself.")
    return format_html(
        "<instant-stream{}>{}</instant-stream>",
        flatatt(given | own),
        "" if part is None else _escaped(part.text),
    )


def _part(request: HttpRequest, channel: str) -> Part | None:
    """Return the text as far as it is there, if the request's user may see it."""
    user = getattr(request, "user", None) or AnonymousUser()
    if not conf.current().anonymous and not permissions.is_known(user):
        return None
    found = find_namespace(channel)
    is_public = (
        found is not None
        and found[0].authorize == "open"
        and not found[0].rows
        and conf.current().anonymous
    )
    if not is_public and not privacy.mark(request):
        return None  # the page's script fetches it
    if not permissions.ask(user, "subscribe", channel):
        return None
    return read_part(channel)


def _escaped(text: str) -> SafeString:
    """Return text as HTML that is parsed as exactly this: a CR would become the end of a line."""
    return mark_safe(format_html("{}", text).replace("\r", "&#13;"))  # noqa: S308  escaped


def script(request: HttpRequest | None, nonce: str | None) -> SafeString:
    """Return the tag of the element's script, the first time in a request."""
    if request is not None:
        if getattr(request, _LOADED, False):
            return mark_safe("")
        setattr(request, _LOADED, True)
    views = {"text": "streams", "stop": "streams_stop"}
    texts = {
        "failed": gettext("Something went wrong; this is not the whole text."),
        "interrupted": gettext("Interrupted; this is not the whole text."),
        "cancelled": gettext("Stopped."),
    }
    return loading.tag("stream", views, {"texts": texts}, nonce, what="{% instant_stream %}")
