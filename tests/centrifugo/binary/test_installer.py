import errno
import io
import json
import socket
import stat
import tarfile
import threading
import zipfile
from dataclasses import replace

import pytest

from instant.centrifugo.binary import installer, release
from instant.centrifugo.binary.installer import InstallError, install
from instant.centrifugo.binary.release import Platform, UnsupportedPlatform, current_platform
from tests.management.fake_release import (
    BINARY,
    CHECKSUMS,
    LINUX,
    VERSION,
    WINDOWS,
    good_tar,
    good_zip,
    member,
    serve,
    sha256,
    tar_gz,
)

AMD64 = Platform("linux_amd64")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """A proxy of this machine must not stand before 127.0.0.1."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def fake():
    with serve() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "server"


def put(fake, folder, **kwargs):
    return install(folder, **{"base_url": fake.url, "platform": AMD64, **kwargs})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


INSTALLED = [".gitignore", "centrifugo", "installed.json"]


# What the files are called


@pytest.mark.parametrize(
    ("system", "machine", "archive"),
    [
        ("linux", "x86_64", "centrifugo_6.9.1_linux_amd64.tar.gz"),
        ("linux", "aarch64", "centrifugo_6.9.1_linux_arm64.tar.gz"),
        ("linux", "armv6l", "centrifugo_6.9.1_linux_armv6.tar.gz"),
        ("linux", "armv7l", "centrifugo_6.9.1_linux_armv6.tar.gz"),
        ("darwin", "x86_64", "centrifugo_6.9.1_darwin_amd64.tar.gz"),
        ("darwin", "arm64", "centrifugo_6.9.1_darwin_arm64.tar.gz"),
        ("freebsd14", "amd64", "centrifugo_6.9.1_freebsd_amd64.tar.gz"),
        ("win32", "AMD64", "centrifugo_6.9.1_windows_amd64.zip"),
    ],
)
def test_peer_09_every_platform_gets_its_own_archive(system, machine, archive):
    assert current_platform(system, machine).archive(VERSION) == archive


@pytest.mark.parametrize(
    ("system", "machine"), [("linux", "riscv64"), ("linux", "i686"), ("sunos5", "amd64")]
)
def test_peer_09_other_platforms_are_told_what_there_is(system, machine):
    with pytest.raises(UnsupportedPlatform) as caught:
        current_platform(system, machine)
    assert "linux_amd64, linux_arm64" in str(caught.value)
    assert "runws --server embedded" in str(caught.value)
    assert isinstance(caught.value, InstallError)


def test_checksums_are_those_of_sha256sum_and_goreleaser():
    digest = "A" * 64
    assert release.checksum_of(f"{digest}  {LINUX}\n", LINUX) == "a" * 64
    assert release.checksum_of(f"{digest} *{LINUX}\r\n", LINUX) == "a" * 64
    assert release.checksum_of(f"{digest}  {LINUX}.sbom\n", LINUX) is None
    assert release.checksum_of(f"{digest[:63]}  {LINUX}\n", LINUX) is None
    assert release.checksum_of("<html>not found</html>", LINUX) is None


# What goes well


def test_peer_09_install_verifies_and_unpacks_only_the_binary(fake, folder):
    fake.publish("centrifugo_6.9.1_linux_arm64.tar.gz", b"another")
    fake.publish(LINUX, good_tar())
    found = put(fake, folder)
    assert found == installer.Installed(
        binary=folder / "centrifugo",
        version=VERSION,
        platform="linux_amd64",
        archive_sha256=sha256(good_tar()),
        binary_sha256=sha256(BINARY),
        verified_by=CHECKSUMS,
    )
    assert found.binary.read_bytes() == BINARY
    assert stat.S_IMODE(found.binary.stat().st_mode) == 0o755
    assert names(folder) == INSTALLED
    assert fake.asked == [f"v{VERSION}/{CHECKSUMS}", f"v{VERSION}/{LINUX}"]


def test_windows_gets_a_zip(fake, folder):
    fake.publish(WINDOWS, good_zip())
    found = put(fake, folder, platform=Platform("windows_amd64"))
    assert found.binary == folder / "centrifugo.exe"
    assert found.binary.read_bytes() == BINARY


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


def test_installing_again_downloads_nothing(fake, folder):
    fake.publish(LINUX, good_tar())
    first = put(fake, folder)
    fake.asked.clear()
    again = put(fake, folder)
    assert again == replace(first, kept=True)
    assert fake.asked == []


@pytest.mark.parametrize("change", ["binary", "marker", "version", "sha256", "force"])
def test_what_is_not_the_wanted_binary_is_installed_again(fake, folder, change):
    fake.publish(LINUX, good_tar())
    put(fake, folder)
    kwargs = {}
    if change == "binary":
        (folder / "centrifugo").write_bytes(b"changed")
    elif change == "marker":
        (folder / "installed.json").write_text("{}")
    elif change == "version":
        marker = json.loads((folder / "installed.json").read_text())
        (folder / "installed.json").write_text(json.dumps({**marker, "version": "6.0.0"}))
    elif change == "sha256":
        other = good_tar(b"other")
        fake.publish(LINUX, other)
        kwargs["sha256"] = sha256(other)
    else:
        kwargs["force"] = True
    fake.asked.clear()
    found = put(fake, folder, **kwargs)
    assert not found.kept
    assert f"v{VERSION}/{LINUX}" in fake.asked
    assert sha256((folder / "centrifugo").read_bytes()) == found.binary_sha256
    assert names(folder) == INSTALLED


# A local archive


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / LINUX
    path.write_bytes(good_tar())
    return path


def test_local_archive_that_nothing_verifies_says_so(folder, archive):
    found = install(folder, archive=archive, platform=AMD64)
    assert found.verified_by == ""
    assert found.binary.read_bytes() == BINARY
    assert archive.exists()


def test_local_archive_is_checked_against_the_file_beside_it(folder, archive):
    listing = archive.with_name(CHECKSUMS)
    listing.write_text(f"{sha256(good_tar())}  {LINUX}\n")
    assert install(folder, archive=archive, platform=AMD64).verified_by == CHECKSUMS
    listing.write_text(f"{'0' * 64}  {LINUX}\n")
    with pytest.raises(InstallError, match="Nothing was installed"):
        install(folder, archive=archive, platform=AMD64)
    listing.write_text("")
    with pytest.raises(InstallError, match="does not list"):
        install(folder, archive=archive, platform=AMD64)


def test_local_archive_is_checked_against_the_given_sha256(folder, archive):
    found = install(folder, archive=archive, sha256=sha256(good_tar()), platform=AMD64)
    assert found.verified_by == "the given sha256"
    with pytest.raises(InstallError, match="the given sha256 says 0000"):
        install(folder, archive=archive, sha256="0" * 64, platform=AMD64)


def test_local_archive_that_is_installed_is_kept(folder, archive):
    first = install(folder, archive=archive, platform=AMD64)
    before = first.binary.stat().st_ino
    assert install(folder, archive=archive, platform=AMD64).kept
    assert first.binary.stat().st_ino == before


def test_local_archive_tells_version_and_platform(tmp_path, folder):
    older = tmp_path / "centrifugo_6.8.3_linux_amd64.tar.gz"
    older.write_bytes(good_tar())
    assert install(folder, archive=older, platform=AMD64).version == "6.8.3"
    with pytest.raises(InstallError, match="is for linux_amd64, this machine is darwin_arm64"):
        install(folder, archive=older, platform=Platform("darwin_arm64"))


def test_missing_local_archive(tmp_path, folder):
    with pytest.raises(InstallError, match="can't be read: No such file"):
        install(folder, archive=tmp_path / "none.tar.gz", platform=AMD64)
    assert not folder.exists()


# What goes wrong: a class, one line, a remedy, and nothing left


def refused(fake, folder, *words, **kwargs):
    with pytest.raises(InstallError) as caught:
        put(fake, folder, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert not folder.exists()
    return message


def test_peer_09_wrong_checksum(fake, folder):
    fake.publish(LINUX, good_tar(), checksum="0" * 64)
    refused(fake, folder, sha256(good_tar()), "0" * 64, CHECKSUMS, "Nothing was installed")


def test_wrong_given_sha256(fake, folder):
    fake.publish(LINUX, good_tar())
    refused(fake, folder, "the given sha256 says", sha256="0" * 64)
    refused(fake, folder, "64 hexadecimal digits", sha256="abc")


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

    monkeypatch.setattr(installer.requests.Session, "get", lambda *a, **k: Response())
    with pytest.raises(InstallError, match="without TLS"):
        install(folder, base_url="https://mirror.example", platform=AMD64)


def test_peer_09_no_server(folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(InstallError) as caught:
        install(folder, base_url=f"http://127.0.0.1:{port}", platform=AMD64)
    assert "No connection to 127.0.0.1" in str(caught.value)
    assert "--archive" in str(caught.value)
    assert not folder.exists()


def test_slow_to_accept_gives_up_after_the_connect_timeout(folder, monkeypatch):
    assert installer.CONNECT_TIMEOUT == 5
    monkeypatch.setattr(installer, "CONNECT_TIMEOUT", 0.2)
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
    real = installer.requests.Session.get

    def spy(self, url, **kwargs):
        seen.append(kwargs["timeout"])
        return real(self, url, **kwargs)

    monkeypatch.setattr(installer.requests.Session, "get", spy)
    fake.publish(LINUX, good_tar())
    put(fake, folder)
    assert seen == [(5, 30), (5, 30)]


def test_silent_server(folder, monkeypatch):
    monkeypatch.setattr(installer, "READ_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InstallError, match=r"sent nothing for 0\.1 s"):
            install(folder, base_url=f"http://127.0.0.1:{port}", platform=AMD64)


def test_server_that_falls_silent_in_the_middle(fake, folder, monkeypatch):
    monkeypatch.setattr(installer, "READ_TIMEOUT", 0.1)
    fake.publish(LINUX, good_tar())
    fake.held[f"v{VERSION}/{LINUX}"] = threading.Event()
    refused(fake, folder, "sent nothing for 0.1 s")


def test_too_large_a_download(fake, folder, monkeypatch):
    monkeypatch.setattr(installer, "MAX_ARCHIVE", 100)
    fake.publish(LINUX, good_tar())
    refused(fake, folder, "larger than 100 bytes")


def test_too_large_a_binary(fake, folder, monkeypatch):
    monkeypatch.setattr(release, "MAX_BINARY", 1000)
    fake.publish(LINUX, good_tar(b"\0" * 2000))
    refused(fake, folder, "larger than 1000 bytes")


BROKEN_ZIP = io.BytesIO()
with zipfile.ZipFile(BROKEN_ZIP, "w") as _zipped:
    _zipped.writestr("centrifugo", BINARY * 10)
BROKEN_ZIP = BROKEN_ZIP.getvalue().replace(b"echo", b"ohce", 1)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"<html>Log in to the proxy</html>", "not a whole archive"),
        (good_tar()[:-20], "not a whole archive"),
        (good_tar()[:60], "not a whole archive"),
        (BROKEN_ZIP, "not a whole archive"),
        (tar_gz(member("LICENSE", b"x")), "holds no file centrifugo"),
        (tar_gz(member("../centrifugo", BINARY)), "holds no file centrifugo"),
        (tar_gz(member("/centrifugo", BINARY)), "holds no file centrifugo"),
        (tar_gz(member("sub/centrifugo", BINARY)), "holds no file centrifugo"),
        (
            tar_gz(member("centrifugo", type=tarfile.SYMTYPE, linkname="/bin/sh")),
            "holds no file centrifugo",
        ),
        (
            tar_gz(
                member("LICENSE", b"x"),
                member("centrifugo", type=tarfile.LNKTYPE, linkname="LICENSE"),
            ),
            "holds no file centrifugo",
        ),
        (tar_gz(member("centrifugo", type=tarfile.DIRTYPE)), "holds no file centrifugo"),
    ],
    ids=[
        "html",
        "cut",
        "cut-early",
        "bad-zip",
        "no-binary",
        "traversal",
        "absolute",
        "nested",
        "symlink",
        "hardlink",
        "folder",
    ],
)
def test_what_is_no_release_is_refused(fake, folder, content, word):
    fake.publish(LINUX, content)
    refused(fake, folder, word)
    assert not (folder.parent / "centrifugo").exists()


def test_zip_with_a_symlink_is_refused(fake, folder):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        info = zipfile.ZipInfo("centrifugo.exe")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/bin/sh")
    fake.publish(WINDOWS, out.getvalue())
    refused(fake, folder, "holds no file", platform=Platform("windows_amd64"))


def test_no_space(fake, folder):
    fake.publish(LINUX, good_tar())

    def full(*_step):
        raise OSError(errno.ENOSPC, "No space left on device")

    refused(fake, folder, "No space left", "Free about", progress=full)


def test_folder_that_cannot_be_written(fake, tmp_path):
    fake.publish(LINUX, good_tar())
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallError, match="can't be written by") as caught:
        put(fake, tmp_path / "file" / "server")
    assert 'INSTANT["DIR"]' in str(caught.value)


def test_peer_09_a_failed_update_leaves_the_old_binary(fake, folder):
    fake.publish(LINUX, good_tar(b"old"))
    put(fake, folder)
    fake.publish(LINUX, good_tar(b"new"), checksum="0" * 64)
    fake.files[f"v{VERSION}/{CHECKSUMS}"] = f"{'0' * 64}  {LINUX}\n".encode()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InstallError):
        put(fake, folder, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_ctrl_c_leaves_nothing(fake, folder):
    fake.publish(LINUX, good_tar())

    def interrupt(*_step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(fake, folder, progress=interrupt)
    assert not folder.exists()


def test_a_mirrors_password_is_never_shown(folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url in (f"http://me:hunter2@127.0.0.1:{port}", "ftp://me:hunter2@example.com", "nonsense"):
        with pytest.raises(InstallError) as caught:
            install(folder, base_url=url, platform=AMD64)
        assert "hunter2" not in str(caught.value)


def test_a_mirrors_password_is_never_shown_with_a_404(fake, folder):
    message = refused(
        fake, folder, "404", base_url=fake.url.replace("http://", "http://me:hunter2@")
    )
    assert "hunter2" not in message
