"""Which engine the server runs on: ``INSTANT["ENGINE"]``, read."""

from __future__ import annotations

from collections.abc import Mapping

from instant.centrifugo.config.engine import Engine, Kind
from instant.conf.addresses import split

__all__ = ["parse_engine"]

_KINDS: Mapping[str, Kind] = {
    "redis": "redis",
    "rediss": "redis",
    "redis+sentinel": "redis",
    "rediss+sentinel": "redis",
    "redis+cluster": "redis",
    "nats": "nats",
    "postgres": "postgres",
    "postgresql": "postgres",
}
_WANTED = (
    "must be “memory”, an address that begins with redis://, rediss://, nats:// or "
    "postgresql://, a list of Redis addresses, or a dict with “broker”"
)
_KEYS = frozenset({"broker", "presence", "nodes"})


def parse_engine(given: object) -> Engine | None:
    """
    Read ``INSTANT["ENGINE"]``; None where the server's own config decides.

    Raises ValueError without any address, as it may have a password in it.
    """
    if given is None:
        return None
    rest: Mapping[str, object] = {}
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - _KEYS, key=str)
        if unknown or "broker" not in given:
            raise ValueError("must have “broker”, and may have “presence” and “nodes”, only")
        rest, given = given, given["broker"]
    if given == "memory":
        if rest.get("presence") or rest.get("nodes"):
            raise ValueError("has “presence” or “nodes”, which nothing needs with “memory”")
        return Engine(kind="memory")
    kind, broker = _addresses(given, _WANTED)
    if len(broker) > 1 and kind == "postgres":
        raise ValueError("must be one address for PostgreSQL: it has no shards")
    presence: tuple[str, ...] = ()
    if rest.get("presence"):
        wanted = "has a “presence” that is no address of Redis, and no list of such"
        of, presence = _addresses(rest["presence"], wanted)
        if of != "redis":
            raise ValueError(wanted)
    nodes = _nodes(rest.get("nodes") or ())
    return Engine(kind=kind, broker=broker, presence=presence, nodes=nodes)


def _addresses(given: object, wanted: str) -> tuple[Kind, tuple[str, ...]]:
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError(wanted)
    kinds = set()
    for text in listed:
        url = split(text)
        if url is None or url.scheme not in _KINDS or not (url.hostname or url.query):
            raise ValueError(wanted)
        kinds.add(_KINDS[url.scheme])
        if "+sentinel" in url.scheme and "sentinel_master_name=" not in url.query:
            raise ValueError("names a Sentinel without “?sentinel_master_name=…”")
    if len(kinds) > 1:
        raise ValueError("mixes engines in one list, whose addresses must be of one kind")
    return kinds.pop(), tuple(listed)


def _nodes(given: object) -> tuple[str, ...]:
    wanted = "has “nodes” that are no list of addresses such as “http://10.0.0.1:8427”"
    if not isinstance(given, list | tuple):
        raise ValueError(wanted)  # noqa: TRY004  it is a setting's value that is wrong
    for text in given:
        url = split(text)
        if url is None or url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError(wanted)
        if url.username is not None or url.query or url.fragment:
            raise ValueError(wanted)
    return tuple(text.rstrip("/") for text in given)
