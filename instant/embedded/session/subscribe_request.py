"""The request of a subscribe command."""

from __future__ import annotations

from dataclasses import dataclass

from instant.embedded.json_text import Fields


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
    def read(cls, fields: Fields) -> SubscribeRequest:
        """Read a subscribe command; raises Malformed."""
        return cls(
            channel=fields.text("channel"),
            token=fields.text("token"),
            data=fields.raw("data"),
            recover=fields.flag("recover"),
            offset=fields.uint64("offset"),
            epoch=fields.text("epoch"),
            delta=fields.text("delta"),
            flag=fields.int64("flag"),
            kind=fields.int32("type"),
            filter=fields.fields("tf"),
            positioned=fields.flag("positioned"),
            recoverable=fields.flag("recoverable"),
            join_leave=fields.flag("join_leave"),
        )

    @classmethod
    def to_resume(cls, fields: Fields, channel: str) -> SubscribeRequest:
        """Read what a connect command says of a server-side subscription; raises Malformed."""
        return cls(
            channel=channel,
            recover=fields.flag("recover"),
            offset=fields.uint64("offset"),
            epoch=fields.text("epoch"),
            delta=fields.text("delta"),
        )
