"""Bodies of callers of methods: JSON, a form or XML in, JSON or XML out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import MediaType

from instant.inbound.payloads import MAX_DEPTH, flaw
from instant.views.body import BodyRefused, BodyTooLarge, read_body
from instant.views.errors import Answered, BadRequest
from instant.views.formats import MAX_BODY
from instant.views.xml_values import NotXml, XmlIsMissing, finite, read_xml, write_xml

__all__ = ["FormData", "Negotiated"]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
XML = ("application/xml", "text/xml")

_CSRF = "csrfmiddlewaretoken"
"""Django's field in a form, which is not the payload's."""


class FormData(dict[str, list[str]]):
    """The fields of a form, each with all its values."""

    def payload(self, lists: Collection[str]) -> dict[str, Any]:
        """Return the payload: lists are those that must be, and others that are repeated."""
        return {
            name: values if name in lists or len(values) > 1 else values[0]
            for name, values in self.items()
        }


class Negotiated:
    """What the header Content-Type says goes in, what Accept asks for comes out."""

    def check(self, request: HttpRequest) -> None:
        """Refuse (406) whoever takes neither JSON nor XML."""
        if _wanted(request) is None:
            raise Answered(f"Answers are {JSON} or {XML[0]}; see the header Accept.", status=406)

    def fetch(self, request: HttpRequest) -> None:
        """Read the body; 413 for one that is too large."""
        try:
            read_body(request, MAX_BODY)
        except BodyTooLarge as exc:
            raise Answered(str(exc), status=413) from None
        except BodyRefused as exc:
            raise BadRequest(str(exc)) from None
        if not request.body and "Transfer-Encoding" in request.headers:
            # Django reads no chunks over WSGI, and the payload would seem to be empty.
            raise Answered("Send the body with a Content-Length, not in chunks.", status=411)

    def read(self, request: HttpRequest) -> Any:
        """Return the payload, or FormData; None where there is no body."""
        if not request.body:
            return None
        kind = request.content_type
        readers = {JSON: _json, FORM: _form, **dict.fromkeys(XML, _xml)}
        if kind not in readers:
            raise Answered(f"The content type must be {', '.join(readers)}.", status=415)
        charset = (request.content_params or {}).get("charset", "utf-8").strip("\"'").lower()
        if charset not in {"utf-8", "utf8", "us-ascii"}:
            raise Answered("The body must be UTF-8.", status=415)
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Answered("The body must not be compressed.", status=415)
        return readers[kind](request.body)

    def response(self, request: HttpRequest, content: Mapping[str, Any]) -> HttpResponse:
        """Return the answer, as XML where that is asked for and can be written."""
        return _response(request, content, 200, {})

    def error(self, request: HttpRequest, error: Answered) -> HttpResponse:
        """Return ``{"error", "code"}``, and ``fields`` where some are wrong."""
        content: dict[str, Any] = {"error": str(error), "code": error.code}
        if error.fields:
            content["fields"] = error.fields
        return _response(request, content, error.status, error.headers)


def _wanted(request: HttpRequest) -> str | None:
    """
    Return the type that the caller takes most gladly, None where it takes none of ours.

    Of several that it takes alike, the one that it names most closely. Parameters such as a
    charset don't matter, as they do to Django's get_preferred_type().
    """
    given = request.headers.get("Accept", "*/*").split(",")
    ranges = [MediaType(text) for text in given if text.strip()]
    best, wanted = (0.0, 0), None
    for kind in (JSON, *XML):
        main, _, sub = kind.partition("/")
        fitting = [
            (_closeness(range_), range_.quality)
            for range_ in ranges
            if range_.main_type in {main, "*"} and range_.sub_type in {sub, "*"}
        ]
        closeness, quality = max(fitting, default=(0, 0.0))
        if quality > 0 and (quality, closeness) > best:
            best, wanted = (quality, closeness), kind
    return wanted


def _closeness(range_: MediaType) -> int:
    return 2 - [range_.main_type, range_.sub_type].count("*")


def _response(
    request: HttpRequest, content: Mapping[str, Any], status: int, headers: Mapping[str, str]
) -> HttpResponse:
    kind = _wanted(request) or JSON
    body: str | None = None
    if kind != JSON:
        try:
            body = write_xml(content)
        except NotXml:  # RFC 9110, section 12.5.1: better another type than no answer
            kind = JSON
    if body is None:
        body = json.dumps(content, separators=(",", ":"))
    return HttpResponse(body.encode(), status=status, headers=headers, content_type=kind)


def _json(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8-sig")
        data = json.loads(text, parse_constant=_refuse, parse_float=finite)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8.") from None
    if wrong := flaw(data):
        raise BadRequest(f"The body {wrong}.")
    return data


def _form(raw: bytes) -> FormData:
    if raw.lstrip()[:1] in {b"{", b"["}:
        raise BadRequest(f"The body looks like JSON: say “Content-Type: {JSON}”.")
    try:
        pairs = parse_qsl(
            raw.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=settings.DATA_UPLOAD_MAX_NUMBER_FIELDS,
        )
    except ValueError:
        raise BadRequest("The body is not a form of UTF-8 text, or has too many fields.") from None
    found = FormData()
    for name, value in pairs:
        if name != _CSRF:
            found.setdefault(name, []).append(value)
    return found


def _xml(raw: bytes) -> Any:
    try:
        return read_xml(raw, MAX_DEPTH)
    except XmlIsMissing as exc:
        text = f"XML is not taken here: {exc}." if settings.DEBUG else "XML is not taken here."
        raise Answered(text, status=415) from None
    except NotXml as exc:
        raise BadRequest(str(exc)) from None


def _refuse(_constant: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are not JSON
