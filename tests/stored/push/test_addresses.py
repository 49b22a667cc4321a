"""Where pushes may go: to known services on the public Internet, whatever a browser says."""

import contextlib
import socket
import ssl
import threading

import pytest
import trustme

from instant.stored.push import addresses, sending
from instant.stored.push.addresses import check_endpoint, is_public
from instant.stored.push.sending import PublicOnly, Request, send

pytestmark = pytest.mark.usefixtures("push")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def",
        "https://fcm.googleapis.com:443/wp/abc",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAA",
        "https://wns2-par02p.notify.windows.com/w/?token=BQ%3d",
        "https://web.push.apple.com/QGuQ",
    ],
)
def test_known_services(endpoint):
    assert check_endpoint(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x", "https://fcm.googleapis.com:8443/x", "https://fcm.googleapis.com.evil.example/x",
        "https://evil.example/fcm.googleapis.com", "https://u:p@fcm.googleapis.com/x", "https://127.0.0.1/x", "https://[::1]/",
        "https://notify.windows.com.evil.example/", "https://evilnotify.windows.com/", "https://fcm.googleapis.com\\@10.0.0.1/",
        "https://fcm.googleapis.com@10.0.0.1/", "https://fcm.googleapis.com:x/", "//fcm.googleapis.com/x", "", None, 7, ["x"],
        "https://fcm.googleapis.com/ x", "https://fcm.googleapis.com/\n", "https://fcm.googleapis.com/ä", "https://[x",
        f"https://fcm.googleapis.com/{'x' * 1024}", "https://localhost/", "https://FCM.googleapis.com.", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_others_are_refused(endpoint):
    with pytest.raises(ValueError, match=r"address|known"):
        check_endpoint(endpoint)


def test_a_setting_adds_services(push):
    with pytest.raises(ValueError, match="SERVICES"):
        check_endpoint("https://push.example.com/x")
    push(SERVICES=["push.example.com", "*.push.example.net"])
    check_endpoint("https://push.example.com/x")
    check_endpoint("https://a.push.example.net/x")
    for other in ("https://a.push.example.com/", "https://push.example.net/"):
        with pytest.raises(ValueError, match="SERVICES"):
            check_endpoint(other)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "2002:a00:1::",
        "64:ff9b::a00:1", "2001:0:a00:1::1", "198.18.0.1",
    ],
)  # fmt: skip
def test_private_addresses(address):
    assert not is_public(address)


def resolving(monkeypatch, *addresses):
    async def found(host, port, family):
        return [
            (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
            for a in addresses
        ]

    monkeypatch.setattr(sending, "_look_up", found)  # whatever event loop it is


async def test_a_name_with_any_private_address_is_not_connected_to(monkeypatch):
    resolving(monkeypatch, "8.8.8.8", "2001:4860:4860::8888")
    found = await PublicOnly().resolve("fcm.googleapis.com", 443)
    assert [one["host"] for one in found] == ["8.8.8.8", "2001:4860:4860::8888"]
    resolving(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(OSError, match="private network"):
        await PublicOnly().resolve("fcm.googleapis.com", 443)


def test_what_is_sent_there_fails_without_a_connection(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        port = listening.getsockname()[1]
        resolving(monkeypatch, "127.0.0.1")
        [outcome] = send([Request(f"http://fcm.googleapis.com:{port}/x", {}, b"")], 5)
        assert outcome.status == 0
        assert "private network" in outcome.text
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_redirects_are_not_followed(service):
    service.answers["/a"] = [(307, {"Location": f"{service.origin}/secret"})]
    [outcome] = send([Request(f"{service.origin}/a", {}, b"x")], 5)
    assert outcome.status == 307
    assert service.paths() == ["/a"]


def test_of_what_a_service_says_the_beginning_is_read(service):
    service.says = b"no" * 100_000
    service.answers["/a"] = [(400, {})]
    [outcome] = send([Request(f"{service.origin}/a", {}, b"x")], 5)
    assert outcome.status == 400
    assert 0 < len(outcome.text) <= 300


def test_a_service_that_says_nothing_is_not_waited_for(service):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        outcomes = send([Request(url, {}, b"x"), Request(f"{service.origin}/b", {}, b"x")], 0.5)
    assert [outcome.status for outcome in outcomes] == [0, 201]
    assert "in time" in outcomes[0].text


def test_no_proxy_of_the_environment_is_asked(service, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    [outcome] = send([Request(f"{service.origin}/a", {}, b"x")], 5)
    assert outcome.status == 201


def test_certificates_are_looked_at(monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve():
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setattr(addresses, "LOCAL", frozenset({f"https://localhost:{port}"}))
        [outcome] = send([Request(f"https://localhost:{port}/", {}, b"x")], 5)
        thread.join()
    assert outcome.status == 0
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.text
