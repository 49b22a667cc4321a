"""What a session asks the application, and what the application may reply; values only, no I/O."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from instant.embedded.config.proxies import ProxyOptions
from instant.embedded.errors import (
    INTERNAL,
    ClientError,
    Closing,
    Disconnect,
    Failure,
    Malformed,
)
from instant.embedded.json_text import Fields
from instant.embedded.json_types import Types, any_json, list_of, map_of, object_of
from instant.embedded.state.filters import check_filter
from instant.embedded.tokens.grants import GRANT


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A request to the endpoint of a proxy; `body` is JSON."""

    kind: str
    proxy: ProxyOptions
    body: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyReply:
    """What came back; `failed` if there was no reply, or none that can be read."""

    failed: bool = False
    error: ClientError | None = None
    disconnect: Disconnect | None = None
    result: Fields | None = None

    def granted(self) -> Fields | None:
        """Return the result, None if it is empty; raises Failure or Closing for a refusal."""
        if self.failed:
            raise Failure(INTERNAL)
        if self.disconnect is not None:
            raise Closing(self.disconnect)
        if self.error is not None:
            raise Failure(self.error)
        return self.result


_SUBSCRIPTION: Types = {
    "expire_at": Fields.int64,
    "info": any_json,
    "data": any_json,
    **GRANT,
    "server_tags_filter": check_filter,
}
_CAPABILITY: Types = {"channels": Fields.texts, "match": Fields.text, "allow": Fields.texts}
# The results of proxies, by their kind.
_RESULTS: Mapping[str, Types] = {
    "connect": {
        "user": Fields.text,
        "expire_at": Fields.int64,
        "info": any_json,
        "b64info": Fields.text,
        "data": any_json,
        "b64data": Fields.text,
        "channels": Fields.texts,
        "subs": map_of({**_SUBSCRIPTION, "cache_recover": Fields.flag}),
        "meta": any_json,
        "caps": list_of(_CAPABILITY),
        "labels": Fields.text_map,
    },
    "refresh": {
        "expired": Fields.flag,
        "expire_at": Fields.int64,
        "info": any_json,
        "b64info": Fields.text,
        "meta": any_json,
        "caps": list_of(_CAPABILITY),
    },
    "subscribe": {**_SUBSCRIPTION, "allow": Fields.texts},
    "sub_refresh": {
        "expired": Fields.flag,
        "expire_at": Fields.int64,
        "info": any_json,
        "b64info": Fields.text,
    },
    "publish": {
        "data": any_json,
        "b64data": Fields.text,
        "skip_history": Fields.flag,
        "tags": Fields.text_map,
        "idempotency_key": Fields.text,
        "delta": Fields.flag,
        "version": Fields.uint64,
        "version_epoch": Fields.text,
    },
    "rpc": {"data": any_json, "b64data": Fields.text},
}


def read_reply(kind: str, text: str) -> ProxyReply:
    """Read the body of a proxy's response; one that can't be read is a failed reply."""
    try:
        fields = Fields(text)
        fields.check({"result": object_of(_RESULTS[kind])})
        error, disconnect = fields.fields("error"), fields.fields("disconnect")
        return ProxyReply(
            error=None
            if error is None
            else ClientError(error.uint32("code"), error.text("message"), error.flag("temporary")),
            disconnect=None
            if disconnect is None
            else Disconnect(disconnect.uint32("code"), disconnect.text("reason")),
            result=fields.fields("result"),
        )
    except Malformed:
        return ProxyReply(failed=True)


class Client(Protocol):
    """The client that a request is about: a session, as far as the application is told of it."""

    client: str
    transport: str
    meta: str
    headers: Mapping[str, list[str]]
    emulated_headers: Mapping[str, str]


def proxied_headers(client: Client, proxy: ProxyOptions) -> tuple[tuple[str, str], ...]:
    """Return the headers that the proxy is configured to get.

    A header of the client's HTTP request replaces one that the SDK sent in its connect command.
    """
    chosen: dict[str, list[str]] = {}
    for name, value in client.emulated_headers.items():
        if name.lower() in proxy.emulated_headers:
            chosen[name.lower()] = [value]
    for name, values in client.headers.items():
        if name.lower() in proxy.headers:
            chosen[name.lower()] = values
    return tuple((name, value) for name, values in chosen.items() for value in values)


def data_member(proxy: ProxyOptions, data: str) -> list[str]:
    """Write what a client sent as the member that the proxy expects; "" makes no member."""
    if not data:
        return []
    if proxy.binary:
        return [f'"b64data":"{base64.b64encode(data.encode()).decode()}"']
    return [f'"data":{data}']


def proxy_request(
    client: Client, kind: str, proxy: ProxyOptions, members: list[str]
) -> ProxyRequest:
    """Make a request about a client; `members` are those that not every request has."""
    common = [
        f'"client":"{client.client}"',
        f'"transport":"{client.transport}"',
        '"protocol":"json"',
        '"encoding":"binary"' if proxy.binary else '"encoding":"json"',
    ]
    if proxy.include_meta and client.meta:
        members = [*members, f'"meta":{client.meta}']
    return ProxyRequest(
        kind=kind,
        proxy=proxy,
        body="{" + ",".join(common + members) + "}",
        headers=proxied_headers(client, proxy),
    )
