"""What the server keeps of a channel, as its config says: for who publishes past its API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instant.channels.names import namespace_of

__all__ = ["History", "histories", "history_of", "seconds", "stream_prefix"]

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_META = 720 * 3600.0
"""Centrifugo's default for ``history_meta_ttl``."""


@dataclass(frozen=True, slots=True)
class History:
    """The options of one namespace; size and seconds are None where it keeps no messages."""

    size: int | None
    seconds: float | None
    meta_seconds: float
    """How long the server remembers a channel's position."""
    delta: bool
    """Whether it sends differences to the message before."""


def histories(config: Mapping[str, Any]) -> dict[str, History]:
    """Return the options by the name of the namespace; ``""`` is for channels without one."""
    channel = config.get("channel") or {}
    meta = seconds(channel.get("history_meta_ttl")) or _META
    found = {"": _history(channel.get("without_namespace") or {}, meta)}
    for entry in channel.get("namespaces") or ():
        found[str(entry.get("name"))] = _history(entry, meta)
    return found


def history_of(found: Mapping[str, History], channel: str) -> History | None:
    """Return the options that hold for a channel; None where its namespace isn't known."""
    return found.get(namespace_of(channel))


def stream_prefix(config: Mapping[str, Any]) -> str:
    """Return what the names of the broker's tables and functions in PostgreSQL begin with."""
    given = ((config.get("broker") or {}).get("postgres") or {}).get("table_prefix") or "cf"
    return f"{str(given).rstrip('_')}_stream"


def seconds(text: Any) -> float:
    """Return a duration in Go's notation, such as ``1h30m``, in seconds; 0 for what is none."""
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(str(text or "")))


def _history(options: Mapping[str, Any], meta: float) -> History:
    size, ttl = options.get("history_size"), seconds(options.get("history_ttl"))
    keeps = bool(size) and ttl > 0
    return History(
        size=int(size) if keeps and size else None,
        seconds=ttl if keeps else None,
        meta_seconds=seconds(options.get("history_meta_ttl")) or meta,
        delta=bool(options.get("delta_publish")),
    )
