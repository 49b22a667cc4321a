"""Subscriptions that a token, the application or the HTTP API grants, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from instant.embedded.json_text import Fields
from instant.embedded.json_types import Types, object_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A granted subscription; `info` and `data` are JSON texts, "" if absent.

    `override` has the options that replace the namespace's.
    """

    info: str = ""
    data: str = ""
    override: Mapping[str, bool] | None = None
    cache_recover: bool = False


# Options of a namespace that a grant may replace.
OVERRIDES = frozenset(
    ("presence", "join_leave", "force_push_join_leave", "force_positioning", "force_recovery")
)


# What is written of a grant in a token.
GRANT: Types = {
    "b64info": Fields.text,
    "b64data": Fields.text,
    "override": object_of({name: object_of({"value": Fields.flag}) for name in OVERRIDES}),
}


def _override(fields: Fields) -> dict[str, bool] | None:
    """Read an `override` object: `{"presence": {"value": true}, …}`; raises Malformed."""
    found = fields.fields("override")
    if found is None:
        return None
    members = found.among(OVERRIDES)
    return {name: member.flag("value") for name, member in members.items()}


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
        return {name: read_grant(found) for name, found in subs.objects()}
    return {name: Grant() for name in fields.texts("channels")}
