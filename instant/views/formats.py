"""How endpoints read bodies and write answers; JSON objects, where they say nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from django.http import HttpRequest, HttpResponse, JsonResponse

from instant.views.body import BodyRefused, read_body
from instant.views.errors import Answered, BadRequest

__all__ = ["MAX_BODY", "Body", "Format", "JsonObjects"]

Body = dict[str, Any]

MAX_BODY = 64 * 1024
"""Bytes of a request's body."""


class Format(Protocol):
    """How bodies are read and answers written."""

    def check(self, request: HttpRequest) -> None:
        """Refuse what can't be answered, before anything else is asked."""

    def fetch(self, request: HttpRequest) -> None:
        """Read the body of a POST, within bounds, before anybody else looks at it."""

    def read(self, request: HttpRequest) -> Any:
        """Return what the body says, after fetch()."""

    def response(self, request: HttpRequest, content: Mapping[str, Any]) -> HttpResponse:
        """Return the answer."""

    def error(self, request: HttpRequest, error: Answered) -> HttpResponse:
        """Return the answer where there is no result."""


class JsonObjects:
    """A JSON object in, a JSON object out."""

    def check(self, request: HttpRequest) -> None:
        """Take every request."""

    def fetch(self, request: HttpRequest) -> None:
        """Read the body."""
        try:
            read_body(request, MAX_BODY)
        except BodyRefused as exc:
            raise BadRequest(str(exc)) from None

    def read(self, request: HttpRequest) -> Any:
        """Return the object; an empty body counts as ``{}``."""
        if not request.body:
            return {}
        if request.content_type != "application/json":
            raise BadRequest("The content type must be application/json.")
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError):
            raise BadRequest("The body is not JSON.") from None
        if not isinstance(body, dict):
            raise BadRequest("The body must be a JSON object.")
        return body

    def response(self, _request: HttpRequest, content: Mapping[str, Any]) -> HttpResponse:
        """Return the answer."""
        return JsonResponse(content)

    def error(self, _request: HttpRequest, error: Answered) -> HttpResponse:
        """Return the answer where there is no result."""
        return JsonResponse({"error": str(error)}, status=error.status, headers=error.headers)
