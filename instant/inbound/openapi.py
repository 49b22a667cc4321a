"""The methods that handlers answer over HTTP, as an OpenAPI 3.1 document."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_type_hints

from django.conf import settings

from instant import conf
from instant.inbound.registry import Handler, handlers
from instant.inbound.reserved import REQUESTS, TICKET

__all__ = ["adapters", "document"]

_REF = "#/components/schemas/{model}"
_ERROR = "InstantError"
_REQUEST, _ANSWER = "validation", "serialization"
"""Pydantic's modes: what goes in, what comes out."""


def document(prefix: str, *, title: str, version: str, server: str = "") -> dict[str, Any]:
    """
    Return the document of all handlers of methods, by the annotations of their functions.

    ``prefix`` is the path of the gateway, to which a method and a ``/`` are added. A pattern such
    as ``report.*`` is a path with a parameter.
    """
    methods = (h for h in handlers("rpc") if not h.name.startswith(REQUESTS))
    listed = sorted(methods, key=lambda handler: handler.name)
    schemas, definitions = _schemas(listed)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        **({"servers": [{"url": server}]} if server else {}),
        "paths": {
            f"{prefix}{_path(handler.name)}/": _path_item(handler, schemas, definitions)
            for handler in listed
        },
        "components": {
            "schemas": {**definitions, _ERROR: _error()},
            "securitySchemes": dict(_security_schemes()),
        },
    }


def _path(name: str) -> str:
    parts = name.split("*")
    names = [f"{{{parameter}}}" for parameter in _parameters(name)]
    return "".join(a + b for a, b in zip(parts, [*names, ""], strict=True))


def _parameters(name: str) -> list[str]:
    number = name.count("*")
    return ["rest"] if number == 1 else [f"rest{n}" for n in range(1, number + 1)]


def _path_item(
    handler: Handler, schemas: Mapping[Any, Any], definitions: Mapping[str, Any]
) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(handler.function.__doc__ or "").partition("\n\n")
    policies = [str(policy) for policy in handler.policies]
    result = schemas.get((handler, _ANSWER), {})
    is_queued = any(policy.defers for policy in handler.policies)
    body = {}
    if handler.arguments.adapter is not None:
        body = {"requestBody": _body(schemas.get((handler, _REQUEST), {}), definitions)}
    operation = {
        "operationId": handler.name.replace("*", "any"),
        **({"summary": " ".join(summary.split())} if summary else {}),
        **({"description": description} if description else {}),
        **({"x-instant-policies": policies} if policies else {}),
        **({"x-instant-result": result} if is_queued else {}),
        "parameters": [_idempotency_key()],
        **body,
        "responses": {
            "200": _response("A ticket: the result comes later.", _data(_ticket()))
            if is_queued
            else _response("The answer.", _data(result)),
            "default": _response("A refusal, with its code.", {"$ref": _REF.format(model=_ERROR)}),
        },
        "security": _security(handler),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _parameters(handler.name)
    ]
    return {**({"parameters": parameters} if parameters else {}), "post": operation}


def _schemas(listed: Sequence[Handler]) -> tuple[Mapping[Any, Any], Mapping[str, Any]]:
    """Return the schemas of payloads and answers, by handler and mode, and what they refer to."""
    if not listed:
        return {}, {}
    from pydantic import TypeAdapter  # noqa: PLC0415  a site without handlers doesn't pay

    inputs = [(handler, *one) for handler in listed for one in adapters(handler)]
    # All in one go, so that two classes of one name have two names.
    found, rest = TypeAdapter.json_schemas(inputs, by_alias=True, ref_template=_REF)
    return found, rest.get("$defs", {})


def adapters(handler: Handler) -> Iterator[tuple[Any, Any]]:
    """
    Yield pydantic's mode and adapter of a handler's payload and of its answer.

    Those that JSON Schema has words for: a class of the project's may be anything.
    """
    from pydantic import TypeAdapter  # noqa: PLC0415  see _schemas()
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError  # noqa: PLC0415

    hints = get_type_hints(inspect.unwrap(handler.function), include_extras=True)
    modes: list[tuple[Any, Callable[[], Any]]] = []
    if handler.arguments.adapter is not None:
        modes.append((_REQUEST, lambda: handler.arguments.adapter))
    if "return" in hints:
        modes.append((_ANSWER, lambda: TypeAdapter(hints["return"])))
    for mode, make in modes:
        try:
            adapter = make()
            adapter.json_schema(mode=mode)
        except (PydanticInvalidForJsonSchema, PydanticUserError):
            continue
        yield mode, adapter


def _body(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    whole = definitions.get(schema.get("$ref", "").rpartition("/")[2], schema)
    required = {"required": True} if whole.get("required") else {}
    return {**required, "content": {"application/json": {"schema": schema}}}


def _data(schema: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["data"], "properties": {"data": schema}}


def _ticket() -> dict[str, Any]:
    """Describe what ``tickets.accept`` answers."""
    texts = ("id", "channel", "token")
    fields = {name: {"type": "string"} for name in texts} | {"exp": {"type": "integer"}}
    ticket = {"type": "object", "required": list(fields), "properties": fields}
    return {"type": "object", "required": [TICKET], "properties": {TICKET: ticket}}


def _response(text: str, schema: Any) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _idempotency_key() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Names the call.",
        "schema": {"type": "string", "pattern": "^[-_a-zA-Z0-9]{1,64}$"},
    }


def _error() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["error", "code"],
        "properties": {
            "error": {"type": "string"},
            "code": {"type": "integer"},
            "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }


def _security_schemes() -> Iterator[tuple[str, Any]]:
    if conf.current().authentication:
        text = "Credentials that the site's INSTANT['AUTHENTICATION'] knows."
        yield (
            "credentials",
            {"type": "apiKey", "in": "header", "name": "Authorization", "description": text},
        )
    text = "A page of the site's own, which shows Origin, Sec-Fetch-Site or the CSRF token."
    cookie = settings.SESSION_COOKIE_NAME
    yield "session", {"type": "apiKey", "in": "cookie", "name": cookie, "description": text}


def _security(handler: Handler) -> list[dict[str, list[str]]]:
    named: list[dict[str, list[str]]] = [{name: []} for name, _ in _security_schemes()]
    return [*named, {}] if handler.anonymous and handler.can is None else named
