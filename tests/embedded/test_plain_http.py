"""Requests to the application without TLS: what is written, and every answer that may come."""

import asyncio

import pytest

from instant.embedded.plain_http import BadAnswer, PlainHttp, plain_address, written_headers

CHUNKS = b'3;x=1\r\n{"a\r\nA\r\n": 123456}\r\n0\r\nX-After: 1\r\n\r\n'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Application:
    """Answers each request with the next of these texts; an empty one closes the connection."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests, self.connections = [], 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._writers = []
        port = self._server.sockets[0].getsockname()[1]
        self.address = plain_address(f"http://127.0.0.1:{port}/proxy/?pool=a")
        self.http = PlainHttp()
        return self

    async def __aexit__(self, *exc):
        self.http.close()
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        self.connections += 1
        self._writers.append(writer)
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            self.requests.append((head, await reader.readexactly(length)))
            answer = self.answers.pop(0)
            writer.write(answer)
            if not answer or b"close" in answer.lower() or b"length" not in answer.lower():
                break
        writer.close()

    async def post(self, body=b"{}", headers=b""):
        return await self.http.post(self.address, headers, body)


def play(scene, *answers):
    async def run():
        async with asyncio.timeout(20), Application(*answers) as application:
            await scene(application)

    asyncio.run(run())


def test_a_connection_is_kept():
    async def scene(application):
        assert await application.post(b'{"a":1}', b"X-A: b\r\n") == (200, b"{}")
        assert await application.post() == (200, b"{}")
        assert application.connections == 1
        head, body = application.requests[0]
        port = application.address.port
        assert head.startswith(b"POST /proxy/?pool=a HTTP/1.1\r\n")
        assert sorted(head.split(b"\r\n")[1:-2]) == [
            b"Content-Length: 7", b"Host: 127.0.0.1:%d" % port, b"X-A: b",
        ]  # fmt: skip
        assert body == b'{"a":1}'

    play(scene, OK, OK)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", (200, b"{}")),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}")),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", (200, b"until the end")),
    ],
)
def test_a_connection_that_ends(answer, found):
    async def scene(application):
        assert await application.post() == found
        assert await application.post() == (200, b"{}")
        assert application.connections == 2

    play(scene, answer, OK)


def test_a_connection_that_was_closed_while_idle():
    async def scene(application):
        await application.post()
        [connection] = application.http._idle[application.address.host, application.address.port]
        application._writers[0].close()
        assert await connection.reader.read() == b""
        assert await application.post() == (200, b"{}")
        assert application.connections == 2

    play(scene, OK, OK)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 500 Oh no\r\ncontent-length: 3\r\n\r\nbad", (500, b"bad")),
        (b"HTTP/1.1 204 No Content\r\nX-Length: 0\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, b"{}")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nX-Length: 0\r\n\r\n" + CHUNKS,
            (200, b'{"a": 123456}'),
        ),
    ],
)
def test_answers(answer, found):
    async def scene(application):
        assert await application.post() == found
        assert await application.post() == (200, b"{}")
        assert application.connections == 1

    play(scene, answer, OK)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n{}",
    ],
)
def test_what_is_no_answer(answer):
    async def scene(application):
        with pytest.raises((BadAnswer, EOFError, OSError)):
            await application.post()
        assert await application.post() == (200, b"{}")
        assert application.connections == 2

    play(scene, answer, OK)


def test_a_request_that_is_given_up():
    async def scene(application):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await application.post()
        assert await application.post() == (200, b"{}")
        assert application.connections == 2

    play(scene, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslow", OK)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/", "http://ann:secret@example.com/", "http:///path", "http://exämple.com/",
        "http://example.com/a b", "unix:/run/a.sock",
    ],
)  # fmt: skip
def test_addresses_that_are_others(url):
    assert plain_address(url) is None


def test_addresses():
    found = plain_address("http://[::1]:8001?x=1")
    assert (found.host, found.port, found.target, found.named) == (
        "::1",
        8001,
        b"/?x=1",
        b"[::1]:8001",
    )
    assert plain_address("http://example.com").port == 80


@pytest.mark.parametrize("value", ["a\r\nX-B: c", "a\nb", "a\rb", "a\0b"])
def test_a_header_is_one_line(value):
    assert written_headers([("X-A", "ä"), ("X-B", "b")]) == "X-A: ä\r\nX-B: b\r\n".encode()
    with pytest.raises(ValueError, match="line break"):
        written_headers([("X-A", value)])
