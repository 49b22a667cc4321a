"""
What a page publishes: the client's script wraps it as ``publish()`` does, a handler sees its data.

Other clients may publish any JSON object. What it says is read as the client's script reads it, so
that a handler checks what pages will show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from instant.inbound.answers import Published, Refused
from instant.inbound.reserved import KEYS

if TYPE_CHECKING:
    from instant.inbound.call import Call
    from instant.inbound.registry import Handler

__all__ = ["arguments_of", "check_event", "published", "unwrapped"]

_SAID = frozenset({"site", "channel", "message", "data", "event_class"})
"""An object with one of these keys is what publish() makes; others are data as a whole."""

_MARKS = ("channel", "id", "tab")
"""Which publication it is, and of which page: kept, whatever a handler makes of the rest."""

_KNOWN = (*_MARKS, "site", "bucket")


def check_event(sent: Mapping[str, Any]) -> None:
    """
    Raise Refused (400) where a page says a class of events that only Django says.

    Such as that of HTML: what is stored is sent again, by Django.
    """
    if _text(sent.get("event_class")).startswith(KEYS):
        raise Refused(400, f"event_class: only Django publishes what begins with {KEYS!r}")


def unwrapped(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a Call says of a publication."""
    if not _SAID & sent.keys():
        return {"data": sent}
    return {
        "data": sent.get("data"),
        "message": _text(sent.get("message")),
        "event_class": _text(sent.get("event_class")),
        "sent": {key: sent[key] for key in _KNOWN if isinstance(sent.get(key), str)},
    }


def arguments_of(call: Call) -> Any:
    """
    Return the payload from which arguments are taken: of a publication, its message is one, too.

    So a message that the handler doesn't expect is refused, as any other field. Raises Refused.
    """
    if not call.message:
        return call.data
    if call.data is None:
        return {"message": call.message}
    if isinstance(call.data, dict) and "message" not in call.data:
        return {**call.data, "message": call.message}
    raise Refused(422, fields={"message": "is not expected"})


def published(handler: Handler, call: Call, returned: Any) -> dict[str, Any]:
    """
    Return what is published for what the handler returned: wrapped, if the page's was.

    Raises TypeError for what is no data.
    """
    if isinstance(returned, Published):
        return _wrapped(call, returned.data, returned.message, returned.event_class)
    if returned is not None and not isinstance(returned, dict):
        raise TypeError(
            f"{handler.place} returned {type(returned).__name__}; a dict or Published is published."
        )
    if call.sent is not None:
        if returned is not None:
            return _wrapped(call, returned, "", call.event_class)
        return {**call.sent, **_wrapped(call, call.data, call.message, call.event_class)}
    data = call.data if returned is None else returned
    if not isinstance(data, dict):
        raise TypeError(f"{handler.place} made {type(data).__name__} of call.data; it is a dict.")
    return data


def _wrapped(call: Call, data: Any, message: str, event_class: str) -> dict[str, Any]:
    said = {"message": message, "event_class": event_class}
    return {
        **{key: value for key, value in (call.sent or {}).items() if key in _MARKS},
        **{key: value for key, value in said.items() if value},
        **({} if data is None else {"data": data}),
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
