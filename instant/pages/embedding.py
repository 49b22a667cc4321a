"""The states of channels as an element of a page, and the way back for tests."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest
from django.utils.asyncio import async_unsafe
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from instant.exceptions import PublishError, ServerNotAsked
from instant.namespaces import find_namespace
from instant.pages import privacy
from instant.pages.state import MAX_STATES, NotFresh, State, read_states
from instant.rights.primary import read_user_again, reading_from_primary

__all__ = ["element", "embedded", "states_or_nothing"]

logger = logging.getLogger("instant.pages")

_ATTRIBUTE = SafeString("data-instant-state")
# As Django's json_script(), which gives the element no attribute. It is data, which a Content
# Security Policy has nothing against.
_ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


@async_unsafe(
    "Asking the message server for the position of a state would hold up the event loop of this "
    "thread. Render the page in another: “await sync_to_async(render)(request, …)”."
)
def element(request: HttpRequest, names: Sequence[str]) -> SafeString:
    """See ``instant.html.state()``."""
    _check(names)
    with reading_from_primary():
        read_user_again(request)
        user = getattr(request, "user", None)
        states = states_or_nothing(user, names, request=request, why_asked="The page")
    if not states:
        return mark_safe("")
    text = json.dumps(states, cls=DjangoJSONEncoder, allow_nan=False, separators=(",", ":"))
    return format_html(
        '<script type="application/json" {}>{}</script>',
        _ATTRIBUTE,
        mark_safe(text.translate(_ESCAPES)),  # noqa: S308  it has no “<” any more
    )


def states_or_nothing(
    user: Any, names: Sequence[str], *, request: HttpRequest | None = None, why_asked: str
) -> dict[str, State]:
    """
    Return the states that can be told now; the page's script asks for the others.

    With a request those that depend on the user only where its answer can be marked.
    """
    try:
        with reading_from_primary():
            states = read_states(
                user,
                names,
                needs_server=False,
                may_be_private=lambda: request is None or privacy.mark(request),
            )
    except NotFresh:
        logger.debug("%s is read in a transaction: its script asks for the state.", why_asked)
        return {}
    except PublishError as exc:
        # Of a server that is not asked, the breaker has told.
        level = logging.DEBUG if isinstance(exc, ServerNotAsked) else logging.ERROR
        logger.log(level, "%s has no state: the message server can't tell: %s", why_asked, exc)
        return {}
    return states.found


def _check(names: Sequence[str]) -> None:
    if len(names) > MAX_STATES:
        raise ValueError(f"A page begins with the states of {MAX_STATES} channels at most.")
    for name in names:
        found = find_namespace(name)
        if found is None or not found[0].has_snapshot():
            raise ValueError(
                f"{name!r} has no state to put into a page: it needs a namespace in a realtime.py, "
                "with a method snapshot(user, …)."
            )


def embedded(text: str) -> dict[str, State]:
    """Return the states in a page's text, by channel."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.states


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, State] = {}
        self._is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_inside = tag == "script" and any(name == _ATTRIBUTE for name, _value in attrs)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  whichever it is
        self._is_inside = False

    def handle_data(self, data: str) -> None:
        if self._is_inside:
            self.states.update(json.loads(data))
