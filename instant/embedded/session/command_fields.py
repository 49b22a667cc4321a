"""The commands of the client protocol: their fields, and the type of each.

Centrifugo reads a command as a whole, so a field of a wrong type closes the connection, whether or
not anything uses that field.
"""

from __future__ import annotations

from collections.abc import Mapping

from instant.embedded.json_text import Fields
from instant.embedded.json_types import Types, any_json, list_of, map_of, object_of
from instant.embedded.state.filters import check_filter

_SUBSCRIBE: Types = {
    "channel": Fields.text,
    "token": Fields.text,
    "recover": Fields.flag,
    "epoch": Fields.text,
    "offset": Fields.uint64,
    "data": any_json,
    "positioned": Fields.flag,
    "recoverable": Fields.flag,
    "join_leave": Fields.flag,
    "delta": Fields.text,
    "tf": check_filter,
    "flag": Fields.int64,
    "type": Fields.int32,
    "phase": Fields.int32,
    "cursor": Fields.text,
    "limit": Fields.int32,
    "asc": Fields.flag,
}
_CHANNEL: Types = {"channel": Fields.text}
_TRACKED: Types = {"key": Fields.text, "version": Fields.uint64}

COMMANDS: Mapping[str, Types] = {
    "connect": {
        "token": Fields.text,
        "data": any_json,
        "subs": map_of(_SUBSCRIBE),
        "name": Fields.text,
        "version": Fields.text,
        "headers": Fields.text_map,
        "flag": Fields.int64,
    },
    "subscribe": _SUBSCRIBE,
    "unsubscribe": _CHANNEL,
    "publish": {
        "channel": Fields.text,
        "data": any_json,
        "type": Fields.int32,
        "key": Fields.text,
        "removed": Fields.flag,
    },
    "presence": _CHANNEL,
    "presence_stats": _CHANNEL,
    "history": {
        "channel": Fields.text,
        "limit": Fields.int32,
        "since": object_of({"offset": Fields.uint64, "epoch": Fields.text}),
        "reverse": Fields.flag,
    },
    "ping": {},
    "send": {"data": any_json},
    "rpc": {"data": any_json, "method": Fields.text},
    "refresh": {"token": Fields.text},
    "sub_refresh": {
        "channel": Fields.text,
        "token": Fields.text,
        "type": Fields.int32,
        "track": list_of({"items": list_of(_TRACKED), "signature": Fields.text}),
        "untrack": Fields.texts,
    },
}


def read_command(text: str) -> tuple[int, dict[str, Fields]]:
    """Read a command: its number, and by name what it asks for; raises Malformed.

    It may be as deep as its frame is long.
    """
    command = Fields(text, whole=False, depth=None)
    number = command.uint32("id")
    asked = command.among(COMMANDS)
    for name, fields in asked.items():
        fields.check(COMMANDS[name])
    return number, asked
