"""Connections over HTTP responses that don't end."""

import asyncio
import json
import socket

import aiohttp
import pytest

from instant.embedded.errors import FORCE_DISCONNECT
from instant.embedded.transports import http_stream, refused_origins
from tests.conformance.player import token
from tests.embedded.fakes import CONFIG, subscriber_count

pytestmark = pytest.mark.timed

STREAMS = {
    **CONFIG,
    "sse": {"enabled": True},
    "http_stream": {"enabled": True},
    "uni_sse": {"enabled": True},
    "uni_http_stream": {"enabled": True},
}


@pytest.mark.parametrize("config", [STREAMS])
@pytest.mark.parametrize("kind", ["sse", "http_stream", "uni_sse", "uni_http_stream"])
async def test_a_streamed_client_that_hangs_up_is_seen_at_once(site, kind):
    connecting = {"token": token({"sub": "1", "subs": {"room:1": {}}})}
    first = json.dumps(connecting if kind.startswith("uni") else {"id": 1, "connect": connecting})
    url = f"{site.url}/connection/{kind}"
    if kind.endswith("sse"):
        response = await site.http.get(url, params={"cf_connect": first})
    else:
        headers = {"Content-Type": "application/json"}
        response = await site.http.post(url, data=first, headers=headers)
    await site.until(lambda: subscriber_count(site.broker, "room:1") == 1)
    response.close()
    await site.until(lambda: subscriber_count(site.broker, "room:1") == 0)
    assert site.server.http_streams == {}


@pytest.mark.parametrize("config", [STREAMS])
async def test_protobuf_over_a_stream_is_refused(site):
    headers = {"Content-Type": "application/octet-stream"}
    url = f"{site.url}/connection/http_stream"
    async with site.http.post(url, data=b"\x01\x02", headers=headers) as response:
        assert response.status == 400
        assert "protobuf" in await response.text()


@pytest.mark.parametrize(
    "config",
    [{**CONFIG, "client": {**CONFIG["client"], "allowed_origins": ["http://ok.example"]}, "http_stream": {"enabled": True}}],
)  # fmt: skip
async def test_only_allowed_origins_may_read(site):
    for origin, allowed in (
        ("http://ok.example", "http://ok.example"),
        ("http://no.example", None),
    ):
        async with site.http.options(
            f"{site.url}/emulation", headers={"Origin": origin}
        ) as response:
            assert response.status == 204
            assert response.headers.get("Access-Control-Allow-Origin") == allowed


GONE = ["websocket", "sse?cf_connect={}", "uni_sse?cf_connect={}"]


@pytest.mark.parametrize("config", [STREAMS])
@pytest.mark.parametrize("path", GONE)
async def test_a_client_that_leaves_before_its_answer_is_no_error(site, monkeypatch, caplog, path):
    async def gone(response, request):
        request.transport.close()
        return await prepare(response, request)

    prepare = aiohttp.web.StreamResponse.prepare
    monkeypatch.setattr(aiohttp.web.StreamResponse, "prepare", gone)
    upgrade = (
        f"GET /connection/{path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(upgrade.encode())
    assert await reader.read() == b""
    writer.close()
    await site.until(lambda: not site.server.websockets and not site.server.http_streams)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "config",
    [{**CONFIG, "client": {**CONFIG["client"], "allowed_origins": ["http://ok.example"]}, "http_stream": {"enabled": True}}],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", "emulation"), ("GET", "connection/websocket")]
)
async def test_a_refused_origin_is_logged_once(site, monkeypatch, caplog, method, path):
    monkeypatch.setattr(refused_origins, "_logged", set())
    for origin in ("http://ok.example", "http://no.example", "http://no.example"):
        url, headers = f"{site.url}/{path}", {"Origin": origin}
        async with site.http.request(method, url, headers=headers) as response:
            await response.read()
    [said] = [m for m in caplog.messages if "refusing pages" in m]
    assert "'http://no.example'" in said
    assert 'INSTANT["ALLOWED_ORIGINS"]' in said


@pytest.fixture
async def unread(site):
    """A streamed client that reads nothing, and its connection."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", site.port))
        body = "\n".join(
            [
                json.dumps({"id": 1, "connect": {"token": token({"sub": "1"})}}),
                json.dumps({"id": 2, "subscribe": {"channel": "room:1"}}),
            ]
        )
        head = f"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
        await loop.sock_sendall(client, f"{head}\r\n\r\n{body}".encode())
        await site.until(lambda: subscriber_count(site.broker, "room:1") == 1)
        (connection,) = site.server.http_streams.values()
        yield client, connection


async def leave_unread(site, connection, least):
    """Publish until so many bytes wait for the client."""
    transport = connection._request.transport
    while transport.get_write_buffer_size() <= least:
        await site.publish("room:1", "x" * 20_000)
    return transport.get_write_buffer_size()


@pytest.mark.parametrize("config", [STREAMS])
@pytest.mark.parametrize("least", [0, 65536])
async def test_a_client_that_reads_nothing_is_not_kept_after_its_end(
    site, unread, monkeypatch, least
):
    """Neither while a write waits for it, beyond 65,536 bytes, nor with less."""
    monkeypatch.setattr(http_stream, "CLOSE_WAIT", 0.3)
    _, connection = unread
    waits = await leave_unread(site, connection, least)
    assert (waits > 65536) is bool(least)
    [listener] = site.server.listeners
    lines = [one for one in listener._open if one.transport is connection._request.transport]
    connection.session.close(FORCE_DISCONNECT)
    async with asyncio.timeout(5):
        while site.server.http_streams or listener._open.intersection(lines):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("config", [STREAMS])
async def test_a_client_that_reads_gets_all_that_was_queued_at_its_end(site, unread):
    loop, (client, connection) = asyncio.get_running_loop(), unread
    await leave_unread(site, connection, 65536)
    connection.session.close(FORCE_DISCONNECT)
    got = b""
    async with asyncio.timeout(http_stream.CLOSE_WAIT + 10):
        while some := await loop.sock_recv(client, 2**20):
            got += some
    assert b'"disconnect":{"code":3503' in got
    assert got.endswith(b"\r\n0\r\n\r\n")
    assert site.server.http_streams == {}
    assert connection._aborting.cancelled()
