"""Archives that are downloaded: how they are verified, and what may go wrong."""

import io
import socket
import threading

import pytest

from instant.centrifugo.binary import download
from instant.centrifugo.binary.installer import InstallError, install
from tests.centrifugo.binary.fake_release import (
    BINARY,
    CHECKSUMS,
    LINUX,
    VERSION,
    good_tar,
    sha256,
)
from tests.centrifugo.binary.installs import AMD64, put, refused
from tests.ports import free_port

pytestmark = pytest.mark.timed


def test_a_given_sha256_replaces_the_checksums_file(fake, folder):
    fake.publish(LINUX, good_tar(), checksum="0" * 64)
    found = put(fake, folder, sha256=sha256(good_tar()).upper())
    assert found.verified_by == "the given sha256"
    assert fake.asked == [f"v{VERSION}/{LINUX}"]


def test_a_mirror_that_calls_the_archive_gzip_encoded_is_taken_at_its_bytes(fake, folder):
    fake.publish(LINUX, good_tar())
    fake.publish("x", b"")
    fake.headers["Content-Encoding"] = "identity, gzip"
    assert put(fake, folder, sha256=sha256(good_tar())).binary.read_bytes() == BINARY


def test_progress_counts_the_bytes_of_the_archive(fake, folder):
    archive = good_tar()
    fake.publish(LINUX, archive)
    seen = []
    put(fake, folder, progress=lambda *step: seen.append(step))
    assert seen[-1] == (len(archive), len(archive))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_wrong_checksum(fake, folder):
    fake.publish(LINUX, good_tar(), checksum="0" * 64)
    refused(fake, folder, sha256(good_tar()), "0" * 64, CHECKSUMS, "Nothing was installed")


def test_404_of_the_release(fake, folder):
    refused(fake, folder, "404", CHECKSUMS, "--release", "--base-url", "--archive")


def test_404_of_the_archive(fake, folder):
    fake.publish(LINUX, good_tar())
    del fake.files[f"v{VERSION}/{LINUX}"]
    refused(fake, folder, "404", LINUX)


def test_archive_that_the_checksums_file_does_not_list(fake, folder):
    fake.publish("centrifugo_6.9.1_linux_arm64.tar.gz", b"another")
    refused(fake, folder, "does not list", LINUX, "--sha256")


def test_truncated_download(fake, folder):
    fake.publish(LINUX, good_tar())
    fake.cut[f"v{VERSION}/{LINUX}"] = 40
    refused(fake, folder, "broke off", "Try again")


def test_redirect_away_from_tls_is_refused(folder, monkeypatch):
    class Response(io.BytesIO):
        url = "http://elsewhere.example/x"

    monkeypatch.setattr(download.requests.Session, "get", lambda *a, **k: Response())
    with pytest.raises(InstallError, match="without TLS"):
        install(folder, base_url="https://mirror.example", platform=AMD64)


def test_no_connection_to_the_release_server(folder):
    port = free_port()
    with pytest.raises(InstallError) as caught:
        install(folder, base_url=f"http://127.0.0.1:{port}", platform=AMD64)
    assert "No connection to 127.0.0.1" in str(caught.value)
    assert "--archive" in str(caught.value)
    assert not folder.exists()


def test_slow_to_accept_gives_up_after_the_connect_timeout(folder, monkeypatch):
    assert download.CONNECT_TIMEOUT == 5
    monkeypatch.setattr(download, "CONNECT_TIMEOUT", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # One waits to be accepted, so that the next one's SYN is not answered.
        with socket.create_connection(listener.getsockname()):
            port = listener.getsockname()[1]
            with pytest.raises(InstallError, match=r"within 0\.2 s.*--archive"):
                install(folder, base_url=f"http://127.0.0.1:{port}", platform=AMD64)
    assert not folder.exists()


def test_each_request_has_both_timeouts(fake, folder, monkeypatch):
    seen = []
    real = download.requests.Session.get

    def spy(self, url, **kwargs):
        seen.append(kwargs["timeout"])
        return real(self, url, **kwargs)

    monkeypatch.setattr(download.requests.Session, "get", spy)
    fake.publish(LINUX, good_tar())
    put(fake, folder)
    assert seen == [(5, 30), (5, 30)]


def test_silent_server(folder, monkeypatch):
    monkeypatch.setattr(download, "READ_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InstallError, match=r"sent nothing for 0\.1 s"):
            install(folder, base_url=f"http://127.0.0.1:{port}", platform=AMD64)


def test_server_that_falls_silent_in_the_middle(fake, folder, monkeypatch):
    monkeypatch.setattr(download, "READ_TIMEOUT", 0.1)
    fake.publish(LINUX, good_tar())
    fake.held[f"v{VERSION}/{LINUX}"] = threading.Event()
    refused(fake, folder, "sent nothing for 0.1 s")


def test_too_large_a_download(fake, folder, monkeypatch):
    monkeypatch.setattr(download, "MAX_ARCHIVE", 100)
    fake.publish(LINUX, good_tar())
    refused(fake, folder, "larger than 100 bytes")


def test_a_mirrors_password_is_never_shown(folder):
    port = free_port()
    for url in (f"http://me:hunter2@127.0.0.1:{port}", "ftp://me:hunter2@example.com", "nonsense"):
        with pytest.raises(InstallError) as caught:
            install(folder, base_url=url, platform=AMD64)
        assert "hunter2" not in str(caught.value)


def test_a_mirrors_password_is_never_shown_with_a_404(fake, folder):
    message = refused(
        fake, folder, "404", base_url=fake.url.replace("http://", "http://me:hunter2@")
    )
    assert "hunter2" not in message
