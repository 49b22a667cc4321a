"""What ``@before_send`` does to a publication, before it is encoded."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from asgiref.sync import async_to_sync

from instant.inbound import registry
from instant.inbound.answers import Refused
from instant.inbound.registry import Handler
from instant.inbound.reserved import KEYS
from instant.publishing.payload import Content

__all__ = ["Outgoing", "are_asked", "rewritten"]

logger = logging.getLogger("instant.handlers")


@dataclass(slots=True, kw_only=True, eq=False)
class Outgoing:
    """What ``@before_send`` gets: a publication that may still be changed."""

    channels: tuple[str, ...]
    """Where it is going to: one channel, or all of a broadcast for a hook that names none."""
    message: Any
    data: Any = field(repr=False)
    """A copy of what was given to ``publish()``."""
    event_class: str | None
    bucket: str

    @property
    def channel(self) -> str:
        """The one channel, ``""`` where there are several."""
        return self.channels[0] if len(self.channels) == 1 else ""


def are_asked() -> bool:
    """Tell whether there is any hook."""
    return bool(registry.declared("send"))


def rewritten(
    channels: Sequence[str], content: Content, encode: Callable[[Any], str]
) -> list[tuple[list[str], Content | None]]:
    """
    Return what is sent where, None for what a hook has refused; each channel once.

    Hooks that name channels are called for each of theirs, after those that name none, which are
    called once. Channels with the same outcome are together.
    """
    hooks = [hook for hook in registry.declared("send") if _is_about(hook, content)]
    for_all = [hook for hook in hooks if _is_general(hook)]
    for_some = [hook for hook in hooks if not _is_general(hook)]
    common = _through(for_all, tuple(channels), content) if for_all else content
    if common is None:
        return [(list(channels), None)]
    found: dict[str | None, tuple[list[str], Content | None]] = {}
    for channel in channels:
        own = [hook for hook in for_some if hook.matches(channel)]
        result = _through(own, (channel,), common) if own else common
        key = None if result is None else "" if result is common else encode(_values(result))
        found.setdefault(key, ([], result))[0].append(channel)
    return list(found.values())


def _through(
    hooks: Sequence[Handler], channels: tuple[str, ...], content: Content
) -> Content | None:
    """Return what the hooks make of it one after another, None where one refuses."""
    outgoing = Outgoing(
        channels=channels,
        message=content.message,
        data=copy.deepcopy(content.data),
        event_class=content.event_class,
        bucket=content.bucket,
    )
    for hook in hooks:
        try:
            returned = _call(hook, outgoing)
        except Refused as exc:
            logger.info("%s: not sent to %s: %s", hook.place, ", ".join(channels[:3]), exc)
            return None
        if returned is not None and not isinstance(returned, dict):
            raise TypeError(
                f"{hook.place} returned {type(returned).__name__}; a dict is the new data."
            )
        if returned is not None:
            outgoing.data = returned
    return replace(
        content,
        message=outgoing.message,
        data=outgoing.data,
        event_class=outgoing.event_class,
        bucket=outgoing.bucket,
    )


def _call(hook: Handler, outgoing: Outgoing) -> Any:
    named: Mapping[str, Any] = {}
    if hook.namespace is not None:
        named = hook.arguments.read(None, hook.namespace.parse(outgoing.channel) or {})
    function = async_to_sync(hook.function) if hook.is_async else hook.function
    return function(outgoing, **named)


def _is_general(hook: Handler) -> bool:
    return hook.name == "*"


def _is_about(hook: Handler, content: Content) -> bool:
    given = content.event_class or ""
    if given.startswith(KEYS):
        return False  # what Instant tells pages itself
    return not hook.event_class or hook.event_class == given


def _values(content: Content) -> tuple[Any, ...]:
    return (content.message, content.data, content.event_class, content.bucket)
