"""The state of a page, asserted by a project's tests; public as ``instant.testing``."""

from __future__ import annotations

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from instant.pages.embedding import embedded

__all__ = ["assert_state"]

_ANY = object()


def assert_state(response: Any, channel: str, data: Any = _ANY) -> Any:
    """
    Assert that a page (a response, or its text) begins with the channel's state, and return it.

    Of ``data`` is compared what JSON makes of it. Without a server, as in most tests, the state
    has no position.
    """
    text = response if isinstance(response, str) else response.content.decode(response.charset)
    states = embedded(text)
    if channel not in states:
        found = ", ".join(map(repr, states)) or "none"
        raise AssertionError(f"The page has no state of {channel!r}. It has: {found}.")
    state = states[channel]["data"]
    if data is not _ANY and state != json.loads(json.dumps(data, cls=DjangoJSONEncoder)):
        raise AssertionError(f"The state of {channel!r} is {state!r}, not {data!r}.")
    return state
