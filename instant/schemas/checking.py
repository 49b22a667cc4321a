"""Check what is published against what its namespace declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.conf import settings

from instant.conf import isolation
from instant.exceptions import InvalidPayload
from instant.inbound.reserved import KEYS
from instant.namespaces import Namespace, find_namespace, registered
from instant.publishing.payload import Content
from instant.schemas.events import events_of

__all__ = ["checked"]


def checked(channels: Sequence[str], content: Content) -> Content:
    """
    Return the content with data as JSON has it; raise InvalidPayload where it isn't as declared.

    Checked with ``DEBUG``, in test runs, and for namespaces that say ``validate``. What has no
    event class is for nobody to check, nor is what Instant tells pages itself.
    """
    for cls in _asked(channels):
        channel = next(name for name in channels if name.startswith(f"{cls.name}:"))
        content = _checked(cls, channel, content)
    return content


def _asked(channels: Sequence[str]) -> list[type[Namespace]]:
    """Return the namespaces of the channels, each once, that declare events."""
    heads = {name.partition(":")[0] for name in channels}
    with_events = [cls for cls in registered() if cls.events is not None and cls.name in heads]
    if len(channels) > 1:
        return with_events
    return [cls for cls in with_events if find_namespace(channels[0]) is not None]


def _checked(cls: type[Namespace], channel: str, content: Content) -> Content:
    name = content.event_class
    if name is None or name.startswith(KEYS):
        return content
    events = events_of(cls)
    event = events.get(name)
    if event is None and name.startswith(KEYS):
        return content  # a stream of ours on a channel with events
    if event is not None:
        content = replace(content, data=event.plain(content.data))
    if not (cls.validate or settings.DEBUG or isolation.is_test_run()):
        return content
    where = f"{cls.__qualname__}.events"
    if event is None:
        raise InvalidPayload(
            f"{channel}: {where} declares no {name!r}, only {', '.join(map(repr, events))}."
        )
    if wrong := event.wrong(content.data):
        raise InvalidPayload(f"{channel}: the data of {name!r} isn't as {where} says: {wrong}.")
    return content
