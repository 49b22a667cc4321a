"""Compile the namespaces that Python declares into the server's config."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from instant.centrifugo.config.sections import find_namespace, namespace_list
from instant.channels.names import USER_NAMESPACE

__all__ = ["NamespaceOptions", "compile_namespaces", "without_presence"]

_SWITCHES: Mapping[str, Sequence[str]] = {
    "join_leave": ("join_leave",),
    # Each “anonymous” option extends the other one to anonymous subscribers; alone it does nothing.
    "presence_for_subscribers": ("allow_presence_for_subscriber", "allow_presence_for_anonymous"),
    "history_for_subscribers": ("allow_history_for_subscriber", "allow_history_for_anonymous"),
    "subscribers_publish": ("allow_publish_for_subscriber", "allow_publish_for_anonymous"),
    "asks_to_subscribe": ("subscribe_proxy_enabled",),
    "asks_to_stay": ("sub_refresh_proxy_enabled",),
    "asks_to_publish": ("publish_proxy_enabled",),
}
"""Boolean fields of NamespaceOptions, and the server's options that each switches on."""

_OURS = frozenset(
    {
        "presence",
        "history_size",
        "history_ttl",
        "force_recovery",
        "force_recovery_mode",
        "auto_cache_recover",
        # Never on: Centrifugo 6.9.1 ends at one frame of a client that needs no token.
        "allow_subscribe_for_client",
        "allow_subscribe_for_anonymous",
    }
).union(*_SWITCHES.values())
"""The options that a declaration sets. All others in the file belong to the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceOptions:
    """The declaration of one namespace, as plain values."""

    name: str
    size: int
    """Messages that the server keeps per channel; 0 for no history."""
    seconds: int
    """How long it keeps them."""
    latest: bool
    """Whether a new subscriber gets the latest message at once."""
    presence: bool
    """Whether the server keeps track of who is subscribed."""
    presence_for_subscribers: bool
    """Whether every subscriber may see it; if not, Django decides."""
    join_leave: bool
    """Whether the server announces who subscribes and unsubscribes."""
    history_for_subscribers: bool
    subscribers_publish: bool
    asks_to_subscribe: bool = False
    """Whether the server asks Django who may subscribe."""
    asks_to_stay: bool = False
    """Whether it asks who may stay so, also where a token has opened the subscription."""
    asks_to_publish: bool = False
    """Whether the server asks Django who may publish."""

    def compiled(self) -> dict[str, Any]:
        """Return its entry in ``channel.namespaces``."""
        found: dict[str, Any] = {"name": self.name, "presence": self.presence}
        if self.size:
            found["history_size"] = self.size
            found["history_ttl"] = f"{self.seconds}s"
            found["force_recovery"] = True
        if self.latest:
            found["force_recovery_mode"] = "cache"
            found["auto_cache_recover"] = True
        for name, options in _SWITCHES.items():
            if getattr(self, name):
                found |= dict.fromkeys(options, True)
        return found


def compile_namespaces(
    config: Mapping[str, Any], declared: Sequence[NamespaceOptions], before: Collection[str]
) -> dict[str, Any]:
    """
    Return a copy of the config with the declared namespaces in it.

    Options that a declaration sets are replaced or removed; other options of the same namespace
    are kept. ``before`` names the namespaces that were compiled into the file last time: those
    that are no longer declared are removed. Raises InstantConfigError if ``channel.namespaces``
    isn't a list of objects.
    """
    result = copy.deepcopy(dict(config))
    listed = namespace_list(result)
    names = {namespace.name for namespace in declared}
    gone = set(before) - names
    kept = [entry for entry in listed if entry.get("name") not in gone]
    for namespace in declared:
        place = find_namespace(kept, namespace.name)
        given = {} if place is None else kept[place]
        theirs = {key: value for key, value in given.items() if key not in {*_OURS, "name"}}
        entry = {**namespace.compiled(), **theirs}
        if place is None:
            kept.append(entry)
        else:
            kept[place] = entry
    result["channel"]["namespaces"] = kept
    return result


def without_presence(config: Mapping[str, Any]) -> list[str]:
    """Return which of the channels that are always there have presence switched off."""
    channel = config.get("channel")
    if not isinstance(channel, Mapping):
        return []
    found = {"channel.without_namespace": channel.get("without_namespace")}
    listed = channel.get("namespaces")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and entry.get("name") == USER_NAMESPACE:
            found["the namespace “user”"] = entry
    return [
        name
        for name, options in found.items()
        if isinstance(options, Mapping) and options.get("presence") is False
    ]
