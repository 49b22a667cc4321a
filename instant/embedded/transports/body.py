"""Reading the body of a request: no more than it may have, and not for ever."""

from __future__ import annotations

import asyncio

from aiohttp import web

# Seconds that a body may take; as in Centrifugo.
BODY_TIME = 30.0


async def read_body(request: web.Request, limit: int) -> bytes:
    """Return the body as it was sent.

    Raises HTTPRequestEntityTooLarge (413) for a longer one than `limit`, and HTTPRequestTimeout
    (408) for one that doesn't arrive.
    """
    if request.content_length is not None and request.content_length > limit:
        raise web.HTTPRequestEntityTooLarge(limit, request.content_length)
    if request.content.is_eof():
        # It came with its head, as it mostly does.
        body = request.content.read_nowait()
        if len(body) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(body))
        return body
    try:
        async with asyncio.timeout(BODY_TIME):
            return await _read(request, limit)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


async def _read(request: web.Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(body))
    return bytes(body)
