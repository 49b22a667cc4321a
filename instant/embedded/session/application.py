"""What a session wants to know of the application, and what it may be told; values only."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from instant.embedded.config.load import ProxyOptions
from instant.embedded.errors import INTERNAL, ClientError, Closing, Disconnect, Failure, Malformed
from instant.embedded.json_text import Fields

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request to a proxy endpoint: `body` is JSON."""

    kind: str
    proxy: ProxyOptions
    body: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; `failed` means nothing that could be understood."""

    failed: bool = False
    error: ClientError | None = None
    disconnect: Disconnect | None = None
    result: Fields | None = None

    def granted(self) -> Fields | None:
        """Return the result (None is "nothing to add"); raises Failure or Closing for a no."""
        if self.failed:
            raise Failure(INTERNAL)
        if self.disconnect is not None:
            raise Closing(self.disconnect)
        if self.error is not None:
            raise Failure(self.error)
        return self.result


def read_answer(text: str) -> Answer:
    """Read a proxy's response body; what can't be read is a failed answer."""
    try:
        fields = Fields(text)
        error, disconnect = fields.fields("error"), fields.fields("disconnect")
        return Answer(
            error=None
            if error is None
            else ClientError(error.uint32("code"), error.text("message"), error.flag("temporary")),
            disconnect=None
            if disconnect is None
            else Disconnect(disconnect.uint32("code"), disconnect.text("reason")),
            result=fields.fields("result"),
        )
    except Malformed:
        return Answer(failed=True)


def proxied_headers(session: Session, proxy: ProxyOptions) -> tuple[tuple[str, str], ...]:
    """Choose the headers the proxy is to see; what an SDK sent loses to the real ones."""
    chosen: dict[str, list[str]] = {}
    for name, value in session.emulated_headers.items():
        if name.lower() in proxy.emulated_headers:
            chosen[name.lower()] = [value]
    for name, values in session.headers.items():
        if name.lower() in proxy.headers:
            chosen[name.lower()] = values
    return tuple((name, value) for name, values in chosen.items() for value in values)


def payload(proxy: ProxyOptions, data: str) -> list[str]:
    """Write what a client sent (JSON, "" for nothing) as the member that the proxy expects."""
    if not data:
        return []
    if proxy.binary:
        return [f'"b64data":"{base64.b64encode(data.encode()).decode()}"']
    return [f'"data":{data}']


def ask_about(session: Session, kind: str, proxy: ProxyOptions, members: list[str]) -> Question:
    """Make a question that names the client and its transport; `members` are JSON members."""
    common = [
        f'"client":"{session.client}"',
        f'"transport":"{session.transport}"',
        '"protocol":"json"',
        '"encoding":"binary"' if proxy.binary else '"encoding":"json"',
    ]
    if proxy.include_meta and session.meta:
        members = [*members, f'"meta":{session.meta}']
    return Question(
        kind=kind,
        proxy=proxy,
        body="{" + ",".join(common + members) + "}",
        headers=proxied_headers(session, proxy),
    )
