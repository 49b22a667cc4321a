"""The HTTP of the HTTP API: paths, keys, bodies and statuses."""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from instant.embedded.errors import (
    BAD_REQUEST,
    INTERNAL,
    ClientError,
    Failure,
    Malformed,
    traceback_of,
)
from instant.embedded.json_text import Fields
from instant.embedded.transports.body import read_body
from instant.embedded.wire_forms import error_body

from .api import Api, error_response

if TYPE_CHECKING:
    from instant.embedded.config.load import Config
    from instant.embedded.state.history_writer import HistoryWriter

log = logging.getLogger("instant.embedded")

# Centrifugo's API has no limit. This one keeps a mistake from filling the memory.
BODY_LIMIT = 64 * 2**20
# HTTP statuses in the error mode "transport", by error code.
STATUSES = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(body=text.encode(), status=status, content_type="application/json")


def _params(command: Fields) -> Fields:
    try:
        return command.fields("params") or Fields("{}")
    except Malformed:
        raise Failure(BAD_REQUEST) from None


class ApiRoutes:
    """Answers `POST /api/<method>`, and the older `POST /api` with the method in the body."""

    def __init__(self, api: Api, config: Config, history_writer: HistoryWriter | None) -> None:
        self._api = api
        self._config = config
        self._history_writer = history_writer

    def _allowed(self, request: web.Request) -> bool:
        if self._config.api_insecure:
            return True
        key = self._config.api_key.encode()
        if not key:
            log.error("the HTTP API refuses every request, because http_api.key is empty")
            return False
        given = request.headers.get("X-API-Key", "")
        if not given:
            parts = request.headers.get("Authorization", "").split()
            if len(parts) == 2 and parts[0].lower() == "apikey":  # noqa: PLR2004  scheme and key
                given = parts[1]
        asked = request.query.get("api_key", "") if request.query_string else ""
        return any(
            hmac.compare_digest(key, text.encode("utf-8", "replace")) for text in (given, asked)
        )

    async def _written(self) -> None:
        """Wait until a crash can't undo what is about to be answered."""
        if self._history_writer is not None:
            await self._history_writer.written()

    def _failed(self, request: web.Request, error: ClientError) -> web.Response:
        mode = request.headers.get("X-Centrifugo-Error-Mode")
        if self._config.api_transport_errors or mode == "transport":
            body = error_body(ClientError(error.code, error.message))
            return _json(body, STATUSES.get(error.code, 500))
        return _json(error_response(error))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that names its method in the path."""
        method = request.match_info["method"]
        if method != "batch" and not self._api.knows(method):
            return web.Response(status=404)
        if not self._allowed(request):
            return web.Response(status=401)
        if request.method != "POST":
            return web.Response(status=405)
        try:
            text = (await read_body(request, BODY_LIMIT)).decode()
            fields = Fields("{}" if text.strip() == "null" else text)
            # If the caller hangs up, the rest of what it asked for is done nevertheless.
            if method == "batch":
                replies = await asyncio.shield(self._api.batch(fields))
                await self._written()
                return _json(replies)
            if method == "broadcast":
                result = await asyncio.shield(self._api.broadcast(fields))
            else:
                result = await self._api.call(method, fields)
        except (Malformed, UnicodeDecodeError):
            return web.Response(status=400, text="Bad Request\n")
        except Failure as exc:
            return self._failed(request, exc.error)
        except web.HTTPException:
            raise
        except Exception as exc:  # noqa: BLE001  whatever it is, it is this request's alone
            log.error("%s failed after a bug: %s", method, traceback_of(exc))  # noqa: TRY400
            return self._failed(request, INTERNAL)
        await self._written()
        return _json(f'{{"result":{result}}}')

    async def serve_legacy(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that names its method in the body: one command per line."""
        if not self._allowed(request):
            return web.Response(status=401)
        if request.method != "POST":
            return web.Response(status=405)
        try:
            body = (await read_body(request, BODY_LIMIT)).decode()
            lines = [line for line in body.split("\n") if line.strip()] or [""]
            replies = [await self._legacy(line) for line in lines]
            await self._written()
        except (Malformed, UnicodeDecodeError):
            return web.Response(status=400, text="Bad Request\n")
        return _json("\n".join(replies))

    async def _legacy(self, line: str) -> str:
        command = Fields(line)
        method, number = command.text("method").lower(), command.uint32("id")
        if not self._api.knows(method):
            raise Malformed("no such method")
        head = f'"id":{number},' if number else ""
        try:
            result = await self._api.call(method, _params(command))
        except Failure as exc:
            return "{" + head + error_response(exc.error)[1:]
        except Malformed:
            raise
        except Exception as exc:  # noqa: BLE001  whatever it is, it is this request's alone
            log.error("%s failed after a bug: %s", method, traceback_of(exc))  # noqa: TRY400
            return "{" + head + error_response(INTERNAL)[1:]
        return f'{{{head}"result":{result}}}'
