"""Channel names: how they are read, and the namespace that each belongs to."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from instant.embedded.errors import BAD_REQUEST, UNKNOWN_CHANNEL, Failure

from .channels import ChannelOptions, channel_options, check_format, check_seconds
from .schema import ConfigError

NAMESPACE_NAME = re.compile(r"[-a-zA-Z0-9_.]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The grammar of channel names, and the options of every namespace."""

    without_namespace: ChannelOptions
    namespaces: dict[str, ChannelOptions] = field(default_factory=dict)
    max_length: int = 255
    private_prefix: str = "$"
    namespace_boundary: str = ":"
    user_boundary: str = "#"
    user_separator: str = ","

    def split(self, channel: str) -> tuple[str, str]:
        """Return the namespace, "" if there is none, and the rest of the name."""
        name = channel.removeprefix(self.private_prefix) if self.private_prefix else channel
        if self.namespace_boundary:
            namespace, boundary, rest = name.partition(self.namespace_boundary)
            if boundary:
                return namespace, rest
        return "", channel

    def options(self, channel: str) -> ChannelOptions:
        """Return the options of `channel`; raises Failure 102 for an unknown namespace."""
        namespace, _ = self.split(channel)
        if not namespace:
            return self.without_namespace
        found = self.namespaces.get(namespace)
        if found is None:
            raise Failure(UNKNOWN_CHANNEL)
        return found

    def checked(self, channel: str) -> ChannelOptions:
        """Do the same for a name that a client sent; raises Failure 107 for a bad one besides."""
        found = self.options(channel)
        if not self.valid(channel, found):
            raise Failure(BAD_REQUEST)
        return found

    def valid(self, channel: str, found: ChannelOptions) -> bool:
        """Tell whether clients may use this name: ASCII, or what the namespace's regex matches."""
        if found.regex is not None:
            return found.regex.search(self.split(channel)[1]) is not None
        return channel.isascii()

    def too_long(self, channel: str) -> bool:
        """Tell whether the name has more bytes than a client may send."""
        return 0 < self.max_length < len(channel.encode("utf-8", "surrogatepass"))

    def private(self, channel: str) -> bool:
        """Tell whether subscribing needs a token, whatever the namespace allows."""
        return bool(self.private_prefix) and channel.startswith(self.private_prefix)

    def limited(self, channel: str) -> bool:
        """Tell whether the name lists the users who may subscribe."""
        return bool(self.user_boundary) and self.user_boundary in channel

    def lists(self, channel: str, user: str) -> bool:
        """Tell whether a user-limited channel's name lists `user`."""
        users = channel.rpartition(self.user_boundary)[2]
        if not self.user_separator:
            return users == user
        return user in users.split(self.user_separator)


def read_names(raw: dict[str, Any], *, insecure: bool, proxies: Collection[str]) -> Names:
    """Read the section `channel`; raises ConfigError. `proxies` are the names that it may use."""
    check_seconds(raw, "history_meta_ttl", "channel")
    check_format(raw, "channel")
    inherited: dict[str, Any] = {
        "meta_ttl": raw["history_meta_ttl"],
        "data_format": raw["publication_data_format"],
        "insecure": insecure,
        "proxies": proxies,
    }
    namespaces = {}
    for at, namespace in enumerate(raw["namespaces"]):
        path = f"channel.namespaces.[{at}]"
        name = namespace["name"]
        if not NAMESPACE_NAME.fullmatch(name):
            raise ConfigError(f"{path}.name: {name!r} must match {NAMESPACE_NAME.pattern}")
        if name in namespaces:
            raise ConfigError(f"{path}.name: {name!r} is defined twice")
        namespaces[name] = channel_options(namespace, path, **inherited)
    return Names(
        without_namespace=channel_options(
            raw["without_namespace"], "channel.without_namespace", **inherited
        ),
        namespaces=namespaces,
        max_length=raw["max_length"] or 255,
        private_prefix=raw["private_prefix"],
        namespace_boundary=raw["namespace_boundary"],
        user_boundary=raw["user_boundary"],
        user_separator=raw["user_separator"],
    )
