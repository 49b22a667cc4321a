"""Subscriptions that a token, the application or the HTTP API grants, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from instant.embedded.json_text import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A granted subscription; `info` and `data` are JSON texts, "" if absent.

    `override` has the options that replace the namespace's.
    """

    info: str = ""
    data: str = ""
    override: Mapping[str, bool] | None = None
    cache_recover: bool = False


def _override(fields: Fields) -> dict[str, bool] | None:
    """Read an `override` object: `{"presence": {"value": true}, …}`; raises Malformed."""
    found = fields.fields("override")
    if found is None:
        return None
    values: dict[str, bool] = {}
    for name in found.names():
        member = found.fields(name)
        if member is not None:
            values[name] = member.flag("value")
    return values


def read_grant(fields: Fields) -> Grant:
    """Read one granted subscription; raises Malformed."""
    return Grant(
        info=fields.json_or_base64("info", "b64info"),
        data=fields.json_or_base64("data", "b64data"),
        override=_override(fields),
        cache_recover=fields.flag("cache_recover"),
    )


def read_grants(fields: Fields) -> dict[str, Grant]:
    """Read `subs`, or `channels` if it is empty; raises Malformed."""
    subs = fields.fields("subs")
    if subs is not None and len(subs):
        return {name: read_grant(subs.fields(name) or Fields("{}")) for name in subs.names()}
    return {name: Grant() for name in fields.texts("channels")}
