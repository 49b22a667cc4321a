"""The pool over HTTPS."""

import ssl
import threading

import pytest
import trustme

from instant.exceptions import ServerUnreachable
from tests.centrifugo.api.pools import OK, post
from tests.servers import RawServer, answering

pytestmark = pytest.mark.timed


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority, monkeypatch, tmp_path):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))


def test_https(trusted, server_context, pool_to):
    with RawServer(answering, context=server_context) as server:
        pool = pool_to(server)
        for _ in range(3):
            assert post(pool) == (200, OK)
        assert server.connections == 1


def test_https_with_an_unknown_certificate_is_refused(server_context, pool_to):
    with RawServer(answering, context=server_context) as server:
        with pytest.raises(ServerUnreachable, match="(?i)certificate"):
            post(pool_to(server))
        assert server.requests == []


def test_https_server_restarted(trusted, server_context, pool_to):
    server = RawServer(answering, context=server_context)
    pool = pool_to(server)
    post(pool)
    server.close()
    with RawServer(answering, context=server_context, port=server.port):
        assert post(pool) == (200, OK)


def test_https_late_bytes_on_an_idle_connection_are_nobodys(trusted, server_context, pool_to):
    """A load balancer's 408 to an idle connection must not answer the next request."""
    served = threading.Event()
    go = threading.Event()

    def late(connection):
        connection.read_request()
        connection.answer()
        go.wait(60)
        connection.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        served.set()
        connection.read_request()
        connection.answer()

    with RawServer(late, context=server_context) as server:
        pool = pool_to(server)
        assert post(pool) == (200, OK)
        go.set()
        assert served.wait(60)
        assert post(pool) == (200, OK)


def test_https_reset_on_an_idle_connection(trusted, server_context, pool_to):
    def one_answer_each(connection):
        connection.read_request()
        connection.answer()
        connection.read_request()
        connection.reset()

    with RawServer(one_answer_each, context=server_context) as server:
        pool = pool_to(server)
        assert post(pool) == (200, OK)
        assert post(pool) == (200, OK)
