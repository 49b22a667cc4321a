"""A publication and its place in a channel's stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from instant.embedded.json_scan import load
from instant.embedded.json_text import quote


class Position(NamedTuple):
    """A place in a channel's stream."""

    offset: int = 0
    epoch: str = ""


@dataclass(slots=True)
class Publication:
    """One publication; `data`, `info` and `tags` are JSON texts, "" where absent."""

    data: str
    info: str = ""
    tags: str = ""
    version: int = 0
    offset: int = 0
    epoch: str = ""

    def tag_map(self) -> dict[str, str]:
        """Return the tags by name."""
        found: dict[str, str] = load(self.tags) if self.tags else {}
        return found

    def fields(self, data: str, *, with_epoch: bool, delta: bool = False) -> str:
        """Write the publication with `data` in place of its own."""
        out = '{"data":' + data
        if self.info:
            out += ',"info":' + self.info
        if self.offset:
            out += f',"offset":{self.offset}'
        if self.tags:
            out += ',"tags":' + self.tags
        if delta:
            out += ',"delta":true'
        if with_epoch:
            # In the client protocol only a stream's first publication names the epoch.
            if self.epoch:
                out += f',"epoch":"{self.epoch}"'
            if self.version:
                out += f',"version":{self.version}'
        return out + "}"

    def json(self) -> str:
        """Write the publication for the client protocol."""
        return self.fields(self.data, with_epoch=True)

    def api_json(self) -> str:
        """Write the publication for the HTTP API: no epoch, no version."""
        return self.fields(self.data, with_epoch=False)

    def full_text(self) -> str:
        """Write the publication for a subscriber of deltas, whole: data is a string of its text."""
        return self.fields(quote(self.data), with_epoch=False)
