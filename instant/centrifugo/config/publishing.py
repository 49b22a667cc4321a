"""Where clients may publish, and Django isn't asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from instant.centrifugo.config.switches import switched

__all__ = ["Past", "past_proxy"]

_OPTIONS = ("allow_publish_for_client", "allow_publish_for_subscriber")
"""That for anonymous visitors extends these; alone it does nothing."""


class Past(NamedTuple):
    """An option with which clients publish past the proxy."""

    namespace: str
    """“” for the channels outside of namespaces."""
    option: str
    """Its path, for people."""


def past_proxy(config: Mapping[str, Any]) -> Iterator[Past]:
    """Yield those that are on, where the server asks no proxy: else it doesn't look at them."""
    channel = config.get("channel")
    if not isinstance(channel, Mapping):
        return
    listed = channel.get("namespaces")
    entries = [channel.get("without_namespace"), *(listed if isinstance(listed, list) else ())]
    for options in entries:
        if not isinstance(options, Mapping) or switched(options.get("publish_proxy_enabled")):
            continue
        name = "" if options is entries[0] else str(options.get("name"))
        where = f"the namespace “{name}”" if name else "channel.without_namespace"
        for option in _OPTIONS:
            if switched(options.get(option)):
                yield Past(name, f"{option} in {where}")
