"""
Options of the server's config with which one frame of a client ends Centrifugo 6.9.1.

No option that Instant compiles is among them. Each was attacked on the running server: where
it subscribes a client to a channel at connect, a ``null`` in ``connect.subs`` ends the process;
so does a ``null`` in a filter's list, or among the keys of a shared poll.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from instant.centrifugo.config.proxies import our_secret
from instant.centrifugo.config.switches import switched

__all__ = ["exposing"]

_OF_CLIENT = (
    ("client.insecure", ("client", "insecure")),
    (
        "client.subscribe_to_user_personal_channel",
        ("client", "subscribe_to_user_personal_channel", "enabled"),
    ),
)
_CONNECT = ("client", "proxy", "connect")
_OF_CHANNELS = ("allow_user_limited_channels", "allow_tags_filter")


def exposing(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of the options that are on and expose the server to such a frame."""
    for name, path in _OF_CLIENT:
        if _at(config, *path):
            yield name
    # Our own subscribes nobody.
    if _at(config, *_CONNECT, "enabled") and our_secret(_at(config, *_CONNECT)) is None:
        yield ".".join(_CONNECT)
    rows = _at(config, "channel", "without_namespace")
    if isinstance(rows, Mapping):
        yield from _of_channels("channel.without_namespace", rows)
    listed = _at(config, "channel", "namespaces")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping):
            yield from _of_channels(f"the namespace “{entry.get('name')}”", entry)


def _of_channels(where: str, options: Mapping[str, Any]) -> Iterator[str]:
    # Where a proxy is asked, the server ignores what a client wants at connect.
    if switched(options.get("allow_subscribe_for_client")) and not switched(
        options.get("subscribe_proxy_enabled")
    ):
        yield f"allow_subscribe_for_client in {where}"
    for name in _OF_CHANNELS:
        if switched(options.get(name)):
            yield f"{name} in {where}"
    if options.get("subscription_type") == "shared_poll":
        yield f"subscription_type in {where}"


def _at(config: Mapping[str, Any], *path: str) -> Any:
    found: Any = config
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return switched(found)
