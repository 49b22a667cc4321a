"""
What keeps the messages and who is present: the engine, in the server's config.

Centrifugo's memory engine is one node. With Redis, NATS or PostgreSQL several nodes are one
server. Source: its ``internal/app/engine.go`` and "Engines and scalability" (centrifugal.dev).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from instant.centrifugo.config.sections import section

__all__ = ["Engine", "Kind", "compile_engine", "hides_presence", "keeping_history"]

Kind = Literal["memory", "redis", "nats", "postgres"]

_OURS: Sequence[tuple[str, ...]] = (
    ("engine", "type"),
    ("engine", "redis", "address"),
    ("broker", "enabled"),
    ("broker", "type"),
    ("broker", "nats", "url"),
    ("broker", "postgres", "dsn"),
    ("controller", "enabled"),
    ("controller", "type"),
    ("controller", "postgres", "dsn"),
    ("presence_manager", "enabled"),
    ("presence_manager", "type"),
    ("presence_manager", "redis", "address"),
)
"""The options that the setting decides. All others in these sections belong to the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The setting, read. Addresses may have passwords in them and are never part of its repr."""

    kind: Kind
    broker: tuple[str, ...] = field(default=(), repr=False)
    """Where messages are kept and passed on; several for Redis are shards."""
    presence: tuple[str, ...] = field(default=(), repr=False)
    """The Redis that knows who is present, where the broker doesn't; several are shards."""
    nodes: tuple[str, ...] = ()
    """The HTTP API of each node, where each knows only who is present on itself."""

    @property
    def is_shared(self) -> bool:
        """Whether several nodes can be one server."""
        return self.kind != "memory"

    @property
    def keeps_history(self) -> bool:
        """Whether there are messages to replay, and repeated requests are recognised."""
        return self.kind != "nats"

    @property
    def presence_is_per_node(self) -> bool:
        """Whether a node knows only who is present on itself."""
        return self.kind in {"nats", "postgres"} and not self.presence


def compile_engine(
    config: Mapping[str, Any], engine: Engine | None, *, before: bool, prefix: str
) -> dict[str, Any]:
    """
    Return a copy of the config with this engine; with None with the one that is in it.

    ``before``: whether the one in it was compiled from a setting, and goes when the setting does.
    Options that the setting doesn't decide are kept. ``prefix`` is in front of all that is kept
    in Redis and NATS, so that two sites may share one, unless the file has another.

    Raises InstantConfigError for a value of the wrong type.
    """
    result = copy.deepcopy(dict(config))
    if engine is None and not before:
        return result
    suggested = dict(_suggested(prefix))
    for path in _OURS:
        _remove(result, path)
    for path, value in suggested.items():
        _remove(result, path, value)
    if engine is None:
        return result
    written = dict(_options(engine))
    for path, value in written.items():
        section(result, *path[:-1])[path[-1]] = value
    for path, value in suggested.items():
        if path[:-1] in {other[:-1] for other in written}:
            section(result, *path[:-1]).setdefault(path[-1], value)
    return result


def keeping_history(config: Mapping[str, Any]) -> list[str]:
    """Return where in the config the server is to keep messages, as far as a file says it."""
    channel = config.get("channel")
    channel = channel if isinstance(channel, Mapping) else {}
    listed = channel.get("namespaces")
    named = [("channel.without_namespace", channel.get("without_namespace"))]
    named += [
        (f"the namespace “{entry.get('name')}”", entry)
        for entry in (listed if isinstance(listed, list) else ())
        if isinstance(entry, Mapping)
    ]
    return [
        name
        for name, options in named
        if isinstance(options, Mapping) and options.get("history_size")
    ]


def hides_presence(config: Mapping[str, Any]) -> bool:
    """Tell whether nodes with this config share messages, and each knows its own clients only."""
    broker, presence = (_enabled(config, name) for name in ("broker", "presence_manager"))
    if presence is None:
        engine = config.get("engine")
        presence = engine.get("type") if isinstance(engine, Mapping) else None
    return broker not in {None, "memory"} and presence in {None, "", "memory"}


def _enabled(config: Mapping[str, Any], name: str) -> str | None:
    found = config.get(name)
    if not isinstance(found, Mapping) or not found.get("enabled"):
        return None
    return str(found.get("type") or "memory")


def _options(engine: Engine) -> Iterator[tuple[tuple[str, ...], Any]]:
    if engine.kind == "redis":
        yield ("engine", "type"), "redis"
        yield ("engine", "redis", "address"), list(engine.broker)
    elif engine.kind == "nats":
        yield ("broker", "enabled"), True
        yield ("broker", "type"), "nats"
        yield ("broker", "nats", "url"), ",".join(engine.broker)
    elif engine.kind == "postgres":
        [dsn] = engine.broker
        yield ("broker", "enabled"), True
        yield ("broker", "type"), "postgres"
        yield ("broker", "postgres", "dsn"), dsn
        # Without it each node would be alone, and tell the others nothing.
        yield ("controller", "enabled"), True
        yield ("controller", "type"), "postgres"
        yield ("controller", "postgres", "dsn"), dsn
    if engine.presence:
        yield ("presence_manager", "enabled"), True
        yield ("presence_manager", "type"), "redis"
        yield ("presence_manager", "redis", "address"), list(engine.presence)


def _suggested(prefix: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield ("engine", "redis", "prefix"), prefix
    yield ("presence_manager", "redis", "prefix"), prefix
    yield ("broker", "nats", "prefix"), prefix
    # Passed on at once, instead of with the next of the polls. A notification wakes the worker of
    # one shard, whichever it is: with one shard it is the right one.
    yield ("broker", "postgres", "use_notify"), True
    yield ("broker", "postgres", "num_shards"), 1


def _remove(config: dict[str, Any], path: tuple[str, ...], value: Any = None) -> None:
    """Remove an option, and the objects that are empty without it; with a value only that one."""
    key, *rest = path
    inner = config.get(key)
    if not rest:
        if value is None or inner == value:
            config.pop(key, None)
    elif isinstance(inner, dict):
        _remove(inner, tuple(rest), value)
        if not inner:
            del config[key]
