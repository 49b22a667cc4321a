"""Who may connect, how long a request may take to arrive, and what its bytes may cost."""

import asyncio
import contextlib
import gzip
import logging
import tracemalloc

import pytest

from instant.embedded.transports import body
from instant.embedded.transports.listener import HEAD_LIMIT

GET = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n"


@contextlib.asynccontextmanager
async def dialled(site):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def status(reader):
    async with asyncio.timeout(20):
        return (await reader.readline()).split()[1]


async def rest(reader):
    """Return what comes until the server closes the connection."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20):
            return await reader.read()
    return b""


@pytest.mark.parametrize("sent", [b"", b"GET", GET, GET + b"X: y\r\n", b"\r\n"])
async def test_who_sends_no_head_is_closed_in_time(site, sent):
    (listener,) = site.server.listeners
    listener.head_time = 0.05
    async with dialled(site) as (reader, writer):
        writer.write(sent)
        assert await rest(reader) == b""
    assert not listener.silent


async def test_the_head_of_a_second_request_has_its_time_too(site):
    (listener,) = site.server.listeners
    async with dialled(site) as (reader, writer):
        writer.write(GET + b"\r\n")
        assert await status(reader) == b"404"
        assert not listener.silent
        listener.head_time = 0.05
        writer.write(GET)
        assert b"HTTP/1.1" not in await rest(reader)


async def test_whoever_has_sent_a_head_has_more_time(site):
    """A WebSocket says nothing for long, and a body may come slowly."""
    (listener,) = site.server.listeners
    listener.head_time = 0.05
    async with site.client("1", "plain:1") as socket, dialled(site) as (reader, writer):
        writer.write(
            b"POST /api/info HTTP/1.1\r\nHost: x\r\nX-API-Key: key\r\nContent-Length: 2\r\n\r\n"
        )
        async with dialled(site) as (silent, _):
            assert await rest(silent) == b""
        await site.publish("plain:1", 1)
        assert "pub" in await socket.recv()
        writer.write(b"{}")
        assert await status(reader) == b"200"


async def test_a_body_has_its_time(site, monkeypatch):
    monkeypatch.setattr(body, "BODY_TIME", 0.05)
    async with dialled(site) as (reader, writer):
        writer.write(
            b"POST /api/info HTTP/1.1\r\nHost: x\r\nX-API-Key: key\r\nContent-Length: 9\r\n\r\n{"
        )
        assert await status(reader) == b"408"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * HEAD_LIMIT,
        GET + b"Cookie: " + b"a" * HEAD_LIMIT,
        GET + b"X: y\r\n" * (HEAD_LIMIT // 6),
    ],
    ids=["path", "cookie", "headers"],
)
async def test_a_head_that_is_too_long_is_refused_before_it_is_read(site, head):
    async with dialled(site) as (reader, writer):
        writer.write(head)
        assert await status(reader) == b"431"
    # A refusal is its connection's alone.
    assert (await site.api("info"))[0] == 200


async def test_a_head_may_be_long(site):
    async with dialled(site) as (reader, writer):
        headers = b"".join(b"X-%d: y\r\n" % n for n in range(20_000))
        writer.write(GET + headers + b"Cookie: " + b"a" * 700_000 + b"\r\n\r\n")
        assert await status(reader) == b"404"


async def test_silent_connections_make_room(site, caplog):
    (listener,) = site.server.listeners
    listener.most = 10
    async with contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(dialled(site)) for _ in range(30)]
        async with site.client("1"), site.client("2"):
            await site.until(lambda: len(listener.silent) <= 8)
            assert (await site.api("info"))[0] == 200
            assert await rest(silent[0][0]) == b""
    assert len([line for line in caplog.records if "open files" in line.message]) == 1


async def test_connections_that_talk_don_t_make_room(site):
    (listener,) = site.server.listeners
    listener.most = 3
    async with site.client("1"), site.client("2"), site.client("3") as last:
        async with dialled(site) as (reader, _):
            assert await rest(reader) == b""
        await last.send('{"id":9,"rpc":{}}')
        assert '"id":9' in await last.recv()


@pytest.mark.parametrize("path", ["/api/publish", "/connection/http_stream", "/emulation"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
@pytest.mark.parametrize("key", [{}, {"X-API-Key": "key"}])
@pytest.mark.parametrize(
    "config",
    [{"http_api": {"key": "key"}, "http_stream": {"enabled": True}}],
)
async def test_a_body_is_never_inflated(site, path, encoding, key):
    """A mebibyte of gzip may be a gibibyte, for whoever holds no key too."""
    bomb = gzip.compress(bytes(2**26))
    headers = {"Content-Encoding": encoding, **key}
    tracemalloc.start()
    try:
        async with site.http.post(site.url + path, data=bomb, headers=headers) as response:
            assert response.status in {400, 401, 413}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**24


async def test_what_is_no_http_is_no_error_in_the_log(site, caplog):
    caplog.set_level(logging.INFO)
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"a: b\r\n\r\n"):
        async with dialled(site) as (reader, writer):
            writer.write(nonsense)
            await rest(reader)
    assert [line.message for line in caplog.records if line.levelno > logging.INFO] == []
