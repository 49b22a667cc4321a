"""What a release's files are called and what they may hold."""

import io
import stat
import tarfile
import zipfile

import pytest

from instant.centrifugo.binary import release
from instant.centrifugo.binary.installer import InstallError
from instant.centrifugo.binary.release import Platform, UnsupportedPlatform, current_platform
from tests.centrifugo.binary.fake_release import (
    BINARY,
    LINUX,
    VERSION,
    WINDOWS,
    good_tar,
    member,
    tar_gz,
)
from tests.centrifugo.binary.installs import refused


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
def test_every_platform_gets_its_own_archive(system, machine, archive):
    assert current_platform(system, machine).archive(VERSION) == archive


@pytest.mark.parametrize(
    ("system", "machine"), [("linux", "riscv64"), ("linux", "i686"), ("sunos5", "amd64")]
)
def test_other_platforms_are_told_what_there_is(system, machine):
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
        (b"<html>Log in to the proxy</html>", "not a complete archive"),
        (good_tar()[:-20], "not a complete archive"),
        (good_tar()[:60], "not a complete archive"),
        (BROKEN_ZIP, "not a complete archive"),
        (tar_gz(member("LICENSE", b"x")), "contains no file centrifugo"),
        (tar_gz(member("../centrifugo", BINARY)), "contains no file centrifugo"),
        (tar_gz(member("/centrifugo", BINARY)), "contains no file centrifugo"),
        (tar_gz(member("sub/centrifugo", BINARY)), "contains no file centrifugo"),
        (
            tar_gz(member("centrifugo", type=tarfile.SYMTYPE, linkname="/bin/sh")),
            "contains no file centrifugo",
        ),
        (
            tar_gz(
                member("LICENSE", b"x"),
                member("centrifugo", type=tarfile.LNKTYPE, linkname="LICENSE"),
            ),
            "contains no file centrifugo",
        ),
        (tar_gz(member("centrifugo", type=tarfile.DIRTYPE)), "contains no file centrifugo"),
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
    refused(fake, folder, "contains no file", platform=Platform("windows_amd64"))
