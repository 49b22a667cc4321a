"""Centrifugo's releases: versions, platforms, the names of their files, and their archives."""

from __future__ import annotations

import gzip
import hashlib
import os
import platform as _platform
import re
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = [
    "BASE_URL",
    "VERSION",
    "InstallError",
    "Platform",
    "UnsupportedPlatform",
    "checksum_of",
    "checksums_name",
    "current_platform",
    "folder_url",
    "parse_archive_name",
    "unpack",
]

VERSION = "6.9.1"
"""The version that Instant is tested with."""

BASE_URL = "https://github.com/centrifugal/centrifugo/releases/download"
"""The address of the releases; each is in a folder named like its tag."""

SUPPORTED = (
    "linux_amd64",
    "linux_arm64",
    "linux_armv6",
    "darwin_amd64",
    "darwin_arm64",
    "freebsd_amd64",
    "windows_amd64",
)
"""The platforms of every release."""

_MACHINES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv6l": "armv6",
    "armv7l": "armv6",
}


MAX_BINARY = 500_000_000
"""Bytes. The real program has about 90 million."""

CHUNK = 256 * 1024


class InstallError(Exception):
    """The server can't be installed. The message says in one line why, and what to do."""


class UnsupportedPlatform(InstallError):
    """There is no Centrifugo binary for this machine. The message lists the platforms."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform of Centrifugo's releases, for example ``linux_amd64``."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in SUPPORTED:
            raise UnsupportedPlatform(
                f"There is no Centrifugo release for {self.name}, only for "
                f"{', '.join(SUPPORTED)}. “manage.py runws --server embedded” runs a server in "
                f"Python on any platform."
            )

    @property
    def binary(self) -> str:
        """The program's file name, in the archive and on the disk."""
        return "centrifugo.exe" if self.name.startswith("windows") else "centrifugo"

    def archive(self, version: str) -> str:
        """Return the name of the archive; ``version`` has no leading ``v``."""
        ending = "zip" if self.name.startswith("windows") else "tar.gz"
        return f"centrifugo_{version}_{self.name}.{ending}"


def current_platform(system: str | None = None, machine: str | None = None) -> Platform:
    """
    Return the platform of this machine, or of the given ``sys.platform`` and ``uname -m``.

    Raises UnsupportedPlatform.
    """
    system = (system or sys.platform).lower()
    machine = (machine or _platform.machine()).lower()
    # sys.platform contains the version on FreeBSD, and is "win32" also on 64-bit Windows.
    system = {"win32": "windows"}.get(system, re.sub(r"\d+$", "", system))
    return Platform(f"{system}_{_MACHINES.get(machine, machine)}")


def folder_url(base_url: str, version: str) -> str:
    """Return the address of a release's files, without a trailing slash."""
    return f"{base_url.rstrip('/')}/v{version}"


def checksums_name(version: str) -> str:
    """Return the name of the file that lists the sha256 of each archive of a release."""
    return f"centrifugo_{version}_checksums.txt"


def checksum_of(checksums: str, name: str) -> str | None:
    """
    Return the sha256 of the file ``name`` in a checksums file, or None if it isn't listed.

    The lines are those of sha256sum: 64 hex digits, spaces, an optional ``*``, the name.
    """
    for line in checksums.splitlines():
        match = re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(\S+)\s*", line)
        if match and match[2] == name:
            return match[1].lower()
    return None


def parse_archive_name(name: str) -> tuple[str, str] | None:
    """Return version and platform from an archive's name, or None for any other name."""
    match = re.fullmatch(r"centrifugo_(\d+\.\d+\.\d+)_([a-z]+_[a-z0-9]+)\.(?:tar\.gz|zip)", name)
    return (match[1], match[2]) if match else None


def unpack(archive: Path, target: Path) -> str:
    """
    Copy the binary in ``archive`` to the new file ``target`` and return its sha256.

    Takes the regular file at the top of the archive that is named like ``target``. Nothing else is
    read, neither links nor paths, so an archive can't write anywhere else. Raises InstallError.
    """
    broken = (
        tarfile.TarError,
        zipfile.BadZipFile,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        NotImplementedError,  # a zip's compression or encryption
        RuntimeError,
    )
    try:
        with _member(archive, target.name) as source:
            if source is not None:
                return _copy(source, target)
    except broken as exc:
        raise InstallError(
            f"{archive.name} is not a complete archive. Nothing was installed; download it again."
        ) from exc
    raise InstallError(
        f"{archive.name} contains no file {target.name}: it is not a release of Centrifugo for "
        f"this platform. Nothing was installed."
    )


@contextmanager
def _member(archive: Path, name: str) -> Iterator[IO[bytes] | None]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where Windows packed it
                if info.filename == name and kind in {0, stat.S_IFREG}:
                    with zipped.open(info) as source:
                        yield source
                    return
    else:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                if member.name in {name, f"./{name}"} and member.isreg():
                    extracted = tar.extractfile(member)
                    if extracted is not None:
                        with extracted:
                            yield extracted
                        _to_the_end(stream)
                        return
    yield None


def _to_the_end(stream: gzip.GzipFile) -> None:
    # The checksum at the end tells whether the archive was cut off after the binary.
    done = 0
    while chunk := stream.read(CHUNK):
        done += len(chunk)
        if done > MAX_BINARY:
            raise EOFError


def _copy(source: IO[bytes], target: Path) -> str:
    digest, done = hashlib.sha256(), 0
    with target.open("xb") as file:
        while chunk := source.read(CHUNK):
            done += len(chunk)
            if done > MAX_BINARY:
                raise InstallError(f"{target.name} is larger than {MAX_BINARY} bytes: refused.")
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    target.chmod(0o755)
    return digest.hexdigest()
