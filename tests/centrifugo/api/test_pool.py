"""The pool of kept-alive connections, against servers that misbehave."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from instant.centrifugo.api.pool import ConnectionPool
from instant.exceptions import InvalidReply, PublishError, PublishTimeout, ServerUnreachable
from tests.centrifugo.api.pools import BODY, OK, Synchronous, post
from tests.servers import RawServer, answering
from tests.tracebacks import shown_locals

pytestmark = pytest.mark.timed


def test_one_connection_serves_many_requests(pool_to):
    with RawServer(answering) as server:
        pool = pool_to(server)
        for _ in range(5):
            assert post(pool) == (200, OK)
        assert server.connections == 1
        head, body = server.requests[0]
        assert body == BODY
        assert head.startswith(b"POST /api/publish HTTP/1.1\r\n")
        assert b"X-API-Key: key" in head


def test_path_of_the_address_is_kept():
    with RawServer(answering) as server:
        pool = ConnectionPool(f"{server.url}/push/", headers={})
        assert pool.post("/api/publish", BODY, 2) == (200, OK)
        pool.close()
        assert server.requests[0][0].startswith(b"POST /push/api/publish ")


def test_threads_share_the_pool_without_mixing_answers():
    def numbered(connection):
        while True:
            _, body = connection.read_request()
            connection.answer(body)

    wrong = []
    with RawServer(numbered) as server:
        pool = ConnectionPool(server.url, headers={})

        def work(number):
            for round_ in range(50):
                body = f"{number}-{round_}".encode() * 50
                if pool.post("/", body, 5.0) != (200, body):
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert server.connections <= 8
        pool.close()


def test_a_fork_does_not_talk_over_its_parents_connection():
    with RawServer(answering) as server:
        pool = Synchronous(server.url)
        post(pool)
        assert server.connections == 1
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if post(pool) == (200, OK):
                    status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert server.connections == 2
        assert post(pool) == (200, OK)  # the parent's connection still works
        assert server.connections == 2
        pool.close()


def test_threads_of_a_fork_take_no_connection_of_its_parent():
    """One of them closes the copies; another comes before it is done."""
    closing, go_on = threading.Event(), threading.Event()

    class Idle(list):
        def pop(self):
            sock = super().pop()
            if not closing.is_set():
                closing.set()
                go_on.wait(5)
            return sock

    def in_the_child():
        pool._idle = Idle(pool._idle)
        first = threading.Thread(target=pool.post, args=("/", BODY, 5))
        first.start()
        closing.wait(5)
        pool.post("/", BODY, 5)
        go_on.set()
        first.join(5)

    with RawServer(answering) as server:
        pool = ConnectionPool(server.url, headers={})
        together = threading.Barrier(3)

        def post_together():
            sock = pool._connect(time.monotonic() + 5)
            together.wait(5)
            pool._exchange(sock, pool._target.request("/", BODY), time.monotonic() + 5)

        threads = [threading.Thread(target=post_together) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pool._idle) == server.connections == 3
        child = os.fork()
        if child == 0:
            status = 1
            try:
                in_the_child()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert len(server.requests) == 5
        assert server.connections == 5  # two of the child's own
        pool.close()


def test_a_server_restarted_between_two_publishes(pool_to):
    server = RawServer(answering)
    pool = pool_to(server)
    post(pool)
    server.close()
    with RawServer(answering, port=server.port) as again:
        assert post(pool) == (200, OK)
        assert len(again.requests) == 1


def test_a_restart_ends_all_idle_connections():
    server = RawServer(answering)
    pool = Synchronous(server.url)
    threads = [threading.Thread(target=post, args=(pool,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.close()
    with RawServer(answering, port=server.port) as again:
        assert post(pool) == (200, OK)
        assert len(again.requests) == 1
        pool.close()


def test_a_connection_that_breaks_as_the_request_leaves_is_tried_once_more(pool_to):
    """The race that no look at the idle socket can see: closed while the request travels."""

    def one_answer_each(connection):
        connection.read_request()
        connection.answer()
        connection.read_request()
        connection.reset()

    with RawServer(one_answer_each) as server:
        pool = pool_to(server)
        assert post(pool) == (200, OK)
        assert post(pool) == (200, OK)
        assert server.connections == 2
        assert len(server.requests) == 3


def test_a_new_connection_that_breaks_is_not_tried_again(pool_to):
    def never(connection):
        connection.read_request()
        connection.reset()

    with RawServer(never) as server:
        with pytest.raises(ServerUnreachable, match="without a reply"):
            post(pool_to(server))
        assert len(server.requests) == 1


@pytest.mark.parametrize("keep", [10, 40, 60])
def test_a_reply_cut_in_the_middle_is_not_read_by_the_next_publish(pool_to, keep):
    whole = b'HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{"result":{"offset":7777777}}  '
    cut = threading.Event()

    def cut_first(connection):
        connection.read_request()
        if not cut.is_set():
            cut.set()
            connection.send(whole[:keep])
            return
        connection.answer()
        connection.read_request()

    with RawServer(cut_first) as server:
        pool = pool_to(server)
        with pytest.raises(PublishError) as info:
            post(pool)
        assert not isinstance(info.value, PublishTimeout)
        assert post(pool) == (200, OK)
        assert len(server.requests) == 2  # part of an answer was read: no second try


def test_bytes_after_the_answer_are_nobodys(pool_to):
    def stray(connection):
        connection.read_request()
        body = b'{"result":{}}'
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + body + b"HTTP/1.1 500 X")
        connection.read_request()

    with RawServer(stray) as server:
        pool = pool_to(server)
        assert post(pool) == (200, OK)
        assert post(pool) == (200, OK)
        assert server.connections == 2


def test_late_bytes_on_an_idle_connection_are_nobodys(pool_to):
    go, sent = threading.Event(), threading.Event()

    def late(connection):
        connection.read_request()
        connection.answer()
        go.wait(60)
        connection.send(b"HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n")
        sent.set()
        connection.read_request()
        connection.answer()

    with RawServer(late) as server:
        pool = pool_to(server)
        assert post(pool) == (200, OK)
        assert pool.idle == 1
        go.set()
        assert sent.wait(60)
        assert post(pool) == (200, OK)


def test_chunked_reply(pool_to):
    def chunked(connection):
        while True:
            connection.read_request()
            connection.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"res\r\n')
            connection.send(b'8\r\nult":{}}\r\n0\r\n\r\n')

    with RawServer(chunked) as server:
        pool = pool_to(server)
        for _ in range(3):
            assert post(pool) == (200, OK)
        assert server.connections == 1


@pytest.mark.parametrize("length", [b"", b"Content-Length: 13\r\n"])
def test_closing_reply(pool_to, length):
    def closing(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + b"\r\n" + OK)

    with RawServer(closing) as server:
        pool = pool_to(server)
        for _ in range(2):
            assert post(pool) == (200, OK)
        assert server.connections == 2


def test_http_1_0_reply_is_read_to_its_end(pool_to):
    def old(connection):
        connection.read_request()
        connection.send(b"HTTP/1.0 200 OK\r\n\r\n" + OK)

    with RawServer(old) as server:
        assert post(pool_to(server)) == (200, OK)


def test_reply_in_single_bytes(pool_to):
    def slow(connection):
        connection.read_request()
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + OK:
            connection.send(bytes([byte]))

    with RawServer(slow) as server:
        assert post(pool_to(server)) == (200, OK)


def test_large_reply(pool_to):
    large = b"x" * 3_000_000

    def behave(connection):
        connection.read_request()
        connection.answer(large)
        connection.read_request()

    with RawServer(behave) as server:
        pool = pool_to(server)
        assert post(pool) == (200, large)
        assert pool.idle == 1


def test_other_statuses_are_returned(pool_to):
    def refuse(connection):
        while True:
            connection.read_request()
            connection.answer(b"", status="401 Unauthorized")

    with RawServer(refuse) as server:
        pool = pool_to(server)
        assert post(pool) == (401, b"")
        assert post(pool) == (401, b"")
        assert server.connections == 1


def test_no_answer_in_time(pool_to):
    done = threading.Event()

    def silent(connection):
        connection.read_request()
        done.wait(60)

    with RawServer(silent) as server:
        pool = pool_to(server)
        with pytest.raises(PublishTimeout, match="in time"):
            post(pool, 0.1)
        assert pool.idle == 0
        done.set()


def test_a_trickle_of_bytes_does_not_extend_the_deadline(pool_to):
    stop = threading.Event()

    def trickle(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.wait(0.02):
            connection.send(b"x")

    with RawServer(trickle) as server:
        # The whole answer would take 20 s.
        with pytest.raises(PublishTimeout):
            post(pool_to(server), 0.2)
        stop.set()


def test_nobody_listens(pool_to):
    server = RawServer(answering)
    server.close()
    with pytest.raises(ServerUnreachable, match="runws"):
        post(pool_to(server))


def test_something_else_listens(pool_to):
    def ssh(connection):
        connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.read_request()

    with RawServer(ssh) as server, pytest.raises(InvalidReply, match="Is it Centrifugo"):
        post(pool_to(server))


def test_an_exception_inside_the_exchange_throws_the_socket_away():
    """A signal handler that raises, as a worker's time-out does."""

    class WorkerTimeout(Exception):
        pass

    def raise_it(*_):
        raise WorkerTimeout

    waiting = threading.Event()
    answer = threading.Event()

    def late(connection):
        connection.read_request()
        if server.connections == 1:
            waiting.set()
            answer.wait(60)
            connection.answer(b'{"result":{"offset":666}}')
        else:
            connection.answer()
        connection.read_request()

    before = signal.signal(signal.SIGUSR1, raise_it)
    try:
        with RawServer(late) as server:
            pool = Synchronous(server.url)
            main = threading.main_thread().ident

            def interrupt():
                waiting.wait(60)
                signal.pthread_kill(main, signal.SIGUSR1)

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(WorkerTimeout):
                post(pool, 5)
            thread.join()
            answer.set()
            assert pool.idle == 0
            assert post(pool) == (200, OK)
            pool.close()
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
    ],
)
def test_answers_that_make_no_sense(pool_to, answer):
    def odd(connection):
        connection.read_request()
        connection.send(answer + b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + OK)

    with RawServer(odd) as server:
        pool = pool_to(server)
        with pytest.raises(PublishError) as info:
            post(pool)
        assert not isinstance(info.value, PublishTimeout)
        assert pool.idle == 0


def test_length_and_chunked_together_is_chunked(pool_to):
    def both(connection):
        connection.read_request()
        connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'd\r\n{"result":{}}\r\n0\r\n\r\n'
        )

    with RawServer(both) as server:
        assert post(pool_to(server)) == (200, OK)


def addresses(monkeypatch, *found):
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, *_a, **_k: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found
        ],
    )


def test_a_dead_address_leaves_time_for_the_next(monkeypatch):
    """A host with several addresses of which some swallow what is sent to them."""
    tried = []
    connect = socket.socket.connect

    class Dead(socket.socket):
        def connect(self, address):
            tried.append(self.gettimeout())
            if address[0] == "127.0.0.9":
                raise TimeoutError
            connect(self, address)

    with RawServer(answering) as server:
        addresses(monkeypatch, "127.0.0.9", "127.0.0.9", "127.0.0.1")
        monkeypatch.setattr(socket, "socket", Dead)
        pool = Synchronous(server.url)
        assert post(pool, 60) == (200, OK)
        pool.close()
    assert tried[0] <= 20
    assert len(tried) == 3


def test_only_dead_addresses_cost_one_timeout(monkeypatch):
    waited = []

    class Dead(socket.socket):
        def connect(self, address):
            waited.append(self.gettimeout())
            time.sleep(waited[-1])
            raise TimeoutError

    addresses(monkeypatch, *["127.0.0.9"] * 4)
    monkeypatch.setattr(socket, "socket", Dead)
    with pytest.raises(ServerUnreachable, match="not in time"):
        post(Synchronous("http://dead.example:8427"), 0.4)
    assert sum(waited) <= 0.4


def test_the_key_is_in_no_traceback(pool_to):
    server = RawServer(answering)
    server.close()
    pool = pool_to(server)
    try:
        post(pool)
    except ServerUnreachable:
        shown = shown_locals()
    assert "Request of" in shown
    assert "X-API-Key" not in shown


def test_a_closed_pool_takes_nothing_back():
    waiting, answer = threading.Event(), threading.Event()

    def late(connection):
        connection.read_request()
        waiting.set()
        answer.wait(60)
        connection.answer()

    with RawServer(late) as server:
        pool = Synchronous(server.url)
        thread = threading.Thread(target=post, args=(pool,))
        thread.start()
        waiting.wait(60)
        pool.close()
        answer.set()
        thread.join()
        assert pool.idle == 0


def test_nothing_is_left_open_at_the_end_of_the_program():
    with RawServer(answering) as server:
        code = (
            "from instant.centrifugo.api.pool import ConnectionPool\n"
            f"t = ConnectionPool({server.url!r}, headers={{}})\n"
            "print(t.post('/', b'', 5))"
        )
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", code],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.stdout.startswith("(200,")
    assert done.stderr == ""
