"""
Put the Centrifugo binary into a folder: download or take a local archive, verify, unpack.

Everything happens in a temporary folder inside the target, which goes away however it ends,
and the finished binary is moved into place in one step: there is the old one or the new one,
never half of one. The release's checksums file comes over the same TLS as the archive; only
a ``sha256`` from somewhere else is stronger than that.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from instant.centrifugo.binary import release
from instant.centrifugo.binary.release import InstallError, Platform
from instant.centrifugo.config.file import prepare_folder

__all__ = ["MARKER", "InstallError", "Installed", "Progress", "install", "installed"]

MARKER = "installed.json"
"""The file beside the binary that says which release it is."""

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
"""Seconds without a single byte."""

MAX_ARCHIVE = 300_000_000
"""Bytes. What is larger is not Centrifugo."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes there are, and how many there will be (None: not known)."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed binary, and how far it can be trusted."""

    binary: Path
    version: str
    platform: str
    archive_sha256: str
    binary_sha256: str
    verified_by: str
    """What the archive was compared with; empty: with nothing."""
    kept: bool = False
    """It was there already, unchanged."""


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

    A download is always verified: against ``sha256`` (of the archive, 64 hex digits), else
    against the checksums file of the release at ``base_url``. A local ``archive`` is compared
    with ``sha256``, else with a checksums file beside it, else with nothing: ``verified_by``
    is then empty. The binary is kept where it is the wanted one, unless ``force``. Waits 5 s
    for a connection and 30 s for each next byte.

    Raises InstallError, and leaves the folder as it was; so does Ctrl-C.
    """
    target = platform or release.current_platform()
    wanted = _digest(sha256)
    if archive is not None:
        version = _named_version(archive, version, target)
    with _folder_errors(directory):
        there = None if force else installed(directory, target)
        if (
            archive is None
            and there is not None
            and there.version == version
            and wanted in {None, there.archive_sha256}
        ):
            return there
        with _workshop(directory) as temporary:
            if archive is None:
                source = temporary / "archive"
                digest, verified_by = _fetch(
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
            prepare_folder(directory)
            _place(found, unpacked, temporary / MARKER)
            return found


def installed(directory: Path, platform: Platform | None = None) -> Installed | None:
    """
    Return what an earlier install() left in ``directory``, None where that isn't intact.

    The binary is read and compared with its recorded sha256, which takes a moment.
    """
    target = platform or release.current_platform()
    try:
        marker = json.loads((directory / MARKER).read_bytes())
        found = Installed(**{**marker, "binary": directory / target.binary, "kept": True})
        intact = found.platform == target.name and _sha256(found.binary) == found.binary_sha256
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
    return found if intact else None


def _fetch(
    target: Path,
    *,
    base_url: str,
    version: str,
    platform: Platform,
    wanted: str | None,
    progress: Progress | None,
) -> tuple[str, str]:
    folder = release.folder_url(base_url, version)
    name = platform.archive(version)
    verified_by = "the given sha256"
    retry = urllib3.Retry(
        total=3,
        connect=0,
        read=False,
        backoff_factor=0.5,
        status_forcelist=(429, 502, 503, 504),
        raise_on_status=False,
    )
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        if wanted is None:
            # First, so that a release that can't be verified costs no download.
            verified_by = release.checksums_name(version)
            listing = target.with_name("checksums")
            _download(session, f"{folder}/{verified_by}", listing, 1_000_000, None)
            wanted = release.checksum_of(listing.read_text(errors="replace"), name)
            if wanted is None:
                raise InstallError(
                    f"{verified_by} at {_shown(base_url)} does not list {name}, so that nothing "
                    f"can verify it. Check --release, or give the archive's --sha256."
                )
        digest = _download(session, f"{folder}/{name}", target, MAX_ARCHIVE, progress)
    if digest != wanted:
        raise InstallError(
            f"{name} has the sha256 {digest}, but {verified_by} says {wanted}. Nothing was "
            f"installed. Try again; if it stays so, don't trust {_shown(base_url)}."
        )
    return digest, verified_by


def _download(
    session: requests.Session, url: str, target: Path, limit: int, progress: Progress | None
) -> str:
    """Stream ``url`` into ``target`` and return the sha256 of what came."""
    digest, done = hashlib.sha256(), 0
    with (
        _network_errors(url),
        session.get(url, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)) as response,
        target.open("wb") as file,
    ):
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise InstallError(f"{_shown(url)} leads to an address without TLS. {_CLOSED}")
        if response.status_code != requests.codes.ok:
            raise InstallError(
                f"{_shown(url)} answers {response.status_code} {response.reason}. Check "
                f"--release and --base-url. {_CLOSED}"
            )
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        # Not decoded: some mirrors call a .tar.gz "Content-Encoding: gzip".
        for chunk in response.raw.stream(release.CHUNK, decode_content=False):
            done += len(chunk)
            if done > limit:
                raise InstallError(f"{_shown(url)} is larger than {limit} bytes: not Centrifugo.")
            digest.update(chunk)
            file.write(chunk)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()


_CLOSED = (
    "Without a way there, download the archive elsewhere and use --archive FILE, or name a "
    "mirror with --base-url; “runws --server embedded” needs no download."
)


@contextlib.contextmanager
def _network_errors(url: str) -> Iterator[None]:
    host = urlsplit(url).hostname or _shown(url)
    try:
        yield
    except requests.exceptions.SSLError as exc:
        raise InstallError(f"The certificate of {host} is not valid here. {_CLOSED}") from exc
    except (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError) as exc:
        raise InstallError(
            f"No connection to {host} within {CONNECT_TIMEOUT:g} s. {_CLOSED}"
        ) from exc
    except (requests.exceptions.ReadTimeout, urllib3.exceptions.TimeoutError) as exc:
        raise InstallError(
            f"{host} sent nothing for {READ_TIMEOUT:g} s. Try again. {_CLOSED}"
        ) from exc
    except (urllib3.exceptions.HTTPError, requests.exceptions.ChunkedEncodingError) as exc:
        raise InstallError(
            f"The download from {host} broke off before its end. Try again. {_CLOSED}"
        ) from exc
    except requests.exceptions.ConnectionError as exc:
        raise InstallError(f"No connection to {host}. {_CLOSED}") from exc
    except requests.exceptions.RequestException as exc:
        raise InstallError(f"{_shown(url)} can't be downloaded. Check --base-url.") from exc


def _shown(url: str) -> str:
    """Return ``url`` without the name and password that a mirror's address may hold."""
    return re.sub(r"//[^/@]*@", "//", url)


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
            f"was installed. Fetch the archive again."
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
    record: dict[str, Any] = asdict(found)
    del record["binary"], record["kept"]
    marker.write_text(json.dumps(record, indent=2) + "\n")
    # A marker that is older than the binary doesn't fit it, and the next run installs again.
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
def _workshop(directory: Path) -> Iterator[Path]:
    """Give a folder inside ``directory``, on the same disk, that goes away in any case."""
    existed = directory.is_dir()
    directory.mkdir(parents=True, exist_ok=True)
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
