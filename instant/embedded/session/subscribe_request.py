"""The request of a subscribe command."""

from __future__ import annotations

from dataclasses import dataclass

from instant.embedded.json_text import Fields
from instant.embedded.state.filters import check_types


@dataclass(slots=True)
class SubscribeRequest:
    """What a client asks for when it subscribes; `filter` is JSON that isn't compiled yet."""

    channel: str
    token: str = ""
    data: str = ""
    recover: bool = False
    offset: int = 0
    epoch: str = ""
    delta: str = ""
    flag: int = 0
    kind: int = 0
    filter: Fields | None = None
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False

    @classmethod
    def read(cls, fields: Fields, channel: str = "") -> SubscribeRequest:
        """Read a subscribe command; raises Malformed."""
        return cls(
            channel=channel or fields.text("channel"),
            token=fields.text("token"),
            data=fields.raw("data"),
            recover=fields.flag("recover"),
            offset=fields.uint64("offset"),
            epoch=fields.text("epoch"),
            delta=fields.text("delta"),
            flag=fields.int64("flag"),
            kind=fields.int32("type"),
            filter=_filter(fields),
            positioned=fields.flag("positioned"),
            recoverable=fields.flag("recoverable"),
            join_leave=fields.flag("join_leave"),
        )


def _filter(fields: Fields) -> Fields | None:
    found = fields.fields("tf")
    if found is not None:
        check_types(found)
    return found
