"""
Install the Centrifugo binary: download an archive or take a local one, verify it, unpack it.

All work is done in a temporary folder inside the target folder, which is always removed. The
finished binary is moved into place in one step, so there is either the old one or the new one. A
release's checksums file comes from the same host as the archive; only a ``sha256`` from another
source is stronger evidence.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from instant.centrifugo.binary import release
from instant.centrifugo.binary.download import Progress, download
from instant.centrifugo.binary.release import InstallError, Platform
from instant.centrifugo.config.file import prepare_folder

__all__ = ["MARKER", "InstallError", "Installed", "install", "installed"]

MARKER = "installed.json"
"""The file next to the binary that says which release it is."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed binary, and what it was verified with."""

    binary: Path
    version: str
    platform: str
    archive_sha256: str
    binary_sha256: str
    verified_by: str
    """What the archive's sha256 was compared with; ``""`` if with nothing."""
    kept: bool = False
    """Whether it was there before, unchanged."""


def install(
    directory: Path,
    *,
    version: str = release.VERSION,
    base_url: str = release.BASE_URL,
    archive: Path | None = None,
    sha256: str | None = None,
    platform: Platform | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Installed:
    """
    Install the Centrifugo binary into ``directory`` and return what is there now.

    A download is always verified, either against ``sha256`` (of the archive, 64 hex digits) or
    against the checksums file of the release at ``base_url``. A local ``archive`` is compared with
    ``sha256``, or with a checksums file next to it, or with nothing, and then ``verified_by`` is
    empty. A binary that is already the right one is kept, unless ``force`` is true.

    Raises InstallError. Then, and after Ctrl-C, the folder is as it was before.
    """
    target = platform or release.current_platform()
    wanted = _digest(sha256)
    if archive is not None:
        version = _named_version(archive, version, target)
    with _folder_errors(directory):
        there = None if force else installed(directory, target)
        if archive is None and there is not None and _is_wanted(there, version, wanted):
            return there
        with _temporary_folder(directory) as temporary:
            if archive is None:
                source = temporary / "archive"
                digest, verified_by = download(
                    source,
                    base_url=base_url,
                    version=version,
                    platform=target,
                    wanted=wanted,
                    progress=progress,
                )
            else:
                source = archive
                digest, verified_by = _check(archive, version, wanted)
                if there is not None and there.archive_sha256 == digest:
                    return there
            unpacked = temporary / target.binary
            found = Installed(
                binary=directory / target.binary,
                version=version,
                platform=target.name,
                archive_sha256=digest,
                binary_sha256=release.unpack(source, unpacked),
                verified_by=verified_by,
            )
            _place(found, unpacked, temporary / MARKER)
            return found


def _is_wanted(there: Installed, version: str, sha256: str | None) -> bool:
    return there.version == version and sha256 in {None, there.archive_sha256}


def installed(directory: Path, platform: Platform | None = None) -> Installed | None:
    """
    Return what an earlier install() left in ``directory``, or None if that isn't intact.

    Reads the whole binary to compare it with its recorded sha256.
    """
    target = platform or release.current_platform()
    try:
        marker = json.loads((directory / MARKER).read_bytes())
        found = Installed(**{**marker, "binary": directory / target.binary, "kept": True})
        intact = found.platform == target.name and _sha256(found.binary) == found.binary_sha256
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
    return found if intact else None


def _check(archive: Path, version: str, wanted: str | None) -> tuple[str, str]:
    verified_by = "the given sha256" if wanted else ""
    try:
        digest = _sha256(archive)
        if wanted is None:
            listing = archive.with_name(release.checksums_name(version))
            if listing.is_file():
                verified_by = listing.name
                wanted = release.checksum_of(listing.read_text(errors="replace"), archive.name)
                if wanted is None:
                    raise InstallError(
                        f"{listing} does not list {archive.name}. Give --sha256, or remove it."
                    )
    except OSError as exc:
        raise InstallError(f"{archive} can't be read: {exc.strerror}. Check --archive.") from exc
    if wanted not in {None, digest}:
        raise InstallError(
            f"{archive.name} has the sha256 {digest}, but {verified_by} says {wanted}. Nothing "
            f"was installed. Download the archive again."
        )
    return digest, verified_by


def _named_version(archive: Path, version: str, platform: Platform) -> str:
    named = release.parse_archive_name(archive.name)
    if named is None:
        return version
    if named[1] != platform.name:
        raise InstallError(
            f"{archive.name} is for {named[1]}, this machine is {platform.name}. "
            f"Get {platform.archive(named[0])}."
        )
    return named[0]


def _place(found: Installed, unpacked: Path, marker: Path) -> None:
    prepare_folder(found.binary.parent)
    record: dict[str, Any] = asdict(found)
    del record["binary"], record["kept"]
    marker.write_text(json.dumps(record, indent=2) + "\n")
    # If this stops in between, the old marker doesn't match the new binary, and the next run
    # installs again.
    unpacked.replace(found.binary)
    marker.replace(found.binary.with_name(MARKER))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(given: str | None) -> str | None:
    if given is None:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", given.strip()):
        raise InstallError("--sha256 must be 64 hexadecimal digits.")
    return given.strip().lower()


@contextlib.contextmanager
def _temporary_folder(directory: Path) -> Iterator[Path]:
    """Make a temporary folder inside ``directory``, on the same disk, and always remove it."""
    existed = directory.is_dir()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix=".install-") as temporary:
            yield Path(temporary)
    except BaseException:
        if not existed:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


@contextlib.contextmanager
def _folder_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            raise InstallError(f"No space left for {directory}. Free about 200 MB.") from exc
        raise InstallError(
            f"{directory} can't be written by {_user()}: {exc.strerror}. Make it writable, or set "
            f'INSTANT["DIR"] to a folder that is.'
        ) from exc


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "this user"
