"""The binary in its folder: new, kept, replaced, from a local archive."""

import errno
import json
import stat
from dataclasses import replace

import pytest

from instant.centrifugo.binary import installer
from instant.centrifugo.binary.installer import InstallError, install
from instant.centrifugo.binary.release import Platform
from tests.centrifugo.binary.fake_release import (
    BINARY,
    CHECKSUMS,
    LINUX,
    VERSION,
    WINDOWS,
    good_tar,
    good_zip,
    sha256,
)
from tests.centrifugo.binary.installs import AMD64, put, refused


def names(folder):
    return sorted(path.name for path in folder.iterdir())


INSTALLED = [".gitignore", "centrifugo", "installed.json"]


def test_install_verifies_and_unpacks_only_the_binary(fake, folder):
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


def test_wrong_given_sha256(fake, folder):
    fake.publish(LINUX, good_tar())
    refused(fake, folder, "the given sha256 says", sha256="0" * 64)
    refused(fake, folder, "64 hexadecimal digits", sha256="abc")


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


def test_a_failed_update_leaves_the_old_binary(fake, folder):
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
