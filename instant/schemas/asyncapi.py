"""The channels and their events, as an AsyncAPI 3.0 document."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from instant.namespaces import Namespace, registered
from instant.schemas.document import Schemas
from instant.schemas.events import events_of
from instant.schemas.typescript import identifier

__all__ = ["document"]

_CONVERTER = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")


def document(*, title: str, version: str, host: str = "", protocol: str = "wss") -> dict[str, Any]:
    """
    Return the document: a channel for each namespace, a message for each of its events.

    The application that it is about is Django, which sends. ``host`` is where browsers find the
    server (``example.com/connection/websocket``).
    """
    schemas = Schemas()
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for cls in registered():
        if not hasattr(cls, "pattern"):
            continue
        id_ = identifier(cls.name)
        channels[id_] = _channel(cls, schemas)
        operations[f"send_{id_}"] = _operation("send", id_, channels[id_])
        if cls.client_publish != "nobody":
            operations[f"receive_{id_}"] = _operation("receive", id_, channels[id_])
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        **({"servers": {"instant": _server(host, protocol)}} if host else {}),
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": schemas.named()},
    }


def _server(host: str, protocol: str) -> dict[str, Any]:
    name, slash, path = host.partition("/")
    return {
        "host": name,
        **({"pathname": f"/{path}"} if slash else {}),
        "protocol": protocol,
        "description": "Centrifugo, or the embedded server",
    }


def _channel(cls: type[Namespace], schemas: Schemas) -> dict[str, Any]:
    pattern = cls.pattern
    names = _CONVERTER.findall(pattern)
    text = inspect.cleandoc(cls.__doc__ or "") if cls.__doc__ != Namespace.__doc__ else ""
    events = events_of(cls) if cls.events is not None else {}
    messages: dict[str, Any] = {
        identifier(name): _message(cls, name, schemas.events.get((cls.name, name), {}))
        for name in events
    }
    return {
        "address": f"{cls.name}:{_CONVERTER.sub(lambda found: f'{{{found[1]}}}', pattern)}",
        **({"description": text} if text else {}),
        **({"parameters": {name: {} for name in names}} if names else {}),
        "messages": messages or {"message": _message(cls, "", {})},
    }


def _message(cls: type[Namespace], name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "channel": {"type": "string"},
        "site": {"type": "string"},
        "id": {
            "type": "string",
            "description": "The same for the same message, however often it comes.",
        },
        "data": dict(schema),
    }
    required = ["site", "id"]
    if name:
        properties["event_class"] = {"const": name}
        required += ["event_class", "data"]
    else:
        properties |= {"message": {}, "event_class": {"type": "string"}}
    return {
        "name": name or cls.name,
        "payload": {"type": "object", "required": required, "properties": properties},
    }


def _operation(action: str, channel: str, described: Mapping[str, Any]) -> dict[str, Any]:
    ref = f"#/channels/{channel}"
    return {
        "action": action,
        "channel": {"$ref": ref},
        "messages": [{"$ref": f"{ref}/messages/{name}"} for name in described["messages"]],
    }
