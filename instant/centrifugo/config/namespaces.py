"""The options of a namespace in the server's config, from what Python declares."""

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
    # Each “anonymous” extends its option to subscribers without a user; alone it does nothing.
    "presence_for_subscribers": ("allow_presence_for_subscriber", "allow_presence_for_anonymous"),
    "history_for_subscribers": ("allow_history_for_subscriber", "allow_history_for_anonymous"),
    "open": ("allow_subscribe_for_client", "allow_subscribe_for_anonymous"),
    "subscribers_publish": ("allow_publish_for_subscriber", "allow_publish_for_anonymous"),
    "asks_to_subscribe": ("subscribe_proxy_enabled", "sub_refresh_proxy_enabled"),
    "asks_to_publish": ("publish_proxy_enabled",),
}
"""What is true of a declaration, and the options that are then on."""

_OURS = frozenset(
    {
        "presence",
        "history_size",
        "history_ttl",
        "force_recovery",
        "force_recovery_mode",
        "auto_cache_recover",
    }
).union(*_SWITCHES.values())
"""The options that a declaration decides; all others in the file are the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceOptions:
    """What is declared of one namespace, as plain values."""

    name: str
    size: int
    """How many messages the server keeps; 0: none."""
    seconds: int
    """For how long."""
    latest: bool
    presence: bool
    """Whether the server keeps who is there."""
    presence_for_subscribers: bool
    """Whether every subscriber may see it; else Django asks a rule."""
    join_leave: bool
    history_for_subscribers: bool
    open: bool
    """Whether everybody may subscribe without a token."""
    subscribers_publish: bool
    asks_to_subscribe: bool = False
    """Whether the server asks Django who may subscribe, and who may stay so."""
    asks_to_publish: bool = False

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
    Return the config with the declared namespaces in it.

    What a declaration decides is set or taken away, what a person has added to the same
    namespace stays. ``before`` names those that were compiled into the file last time: of
    them the ones that are declared no more are taken out. Raises InstantConfigError where
    ``channel.namespaces`` isn't a list of objects.
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
    channel = config.get("channel", {})
    found = {"channel.without_namespace": channel.get("without_namespace")}
    for entry in channel.get("namespaces") or ():
        if entry.get("name") == USER_NAMESPACE:
            found["the namespace “user”"] = entry
    return [name for name, options in found.items() if options and options.get("presence") is False]
