"""Download the archive of a release and verify it."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from instant.centrifugo.binary import release
from instant.centrifugo.binary.release import InstallError, Platform

__all__ = ["CONNECT_TIMEOUT", "MAX_ARCHIVE", "READ_TIMEOUT", "Progress", "download"]

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
"""Seconds to wait for the next byte."""

MAX_ARCHIVE = 300_000_000
"""Bytes. Centrifugo's archives are much smaller."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far, and with their total number, or None if that isn't known."""


def download(
    target: Path,
    *,
    base_url: str,
    version: str,
    platform: Platform,
    wanted: str | None,
    progress: Progress | None,
) -> tuple[str, str]:
    """
    Download the archive to ``target``; return its sha256 and what that was compared with.

    ``wanted`` is the expected sha256. With None it is taken from the release's checksums file,
    which is downloaded first. Waits 5 s for a connection and 30 s for each next byte. Raises
    InstallError.
    """
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
            # First, so that nothing is downloaded that could not be verified.
            verified_by = release.checksums_name(version)
            listing = target.with_name("checksums")
            _stream(session, f"{folder}/{verified_by}", listing, 1_000_000, None)
            wanted = release.checksum_of(listing.read_text(errors="replace"), name)
            if wanted is None:
                raise InstallError(
                    f"{verified_by} at {_shown(base_url)} does not list {name}, so it can't be "
                    f"verified. Check --release, or give the archive's --sha256."
                )
        digest = _stream(session, f"{folder}/{name}", target, MAX_ARCHIVE, progress)
    if digest != wanted:
        raise InstallError(
            f"{name} has the sha256 {digest}, but {verified_by} says {wanted}. Nothing was "
            f"installed. Try again; if this happens again, don't trust {_shown(base_url)}."
        )
    return digest, verified_by


def _stream(
    session: requests.Session, url: str, target: Path, limit: int, progress: Progress | None
) -> str:
    """Download ``url`` to ``target`` and return its sha256."""
    digest, done = hashlib.sha256(), 0
    with (
        _network_errors(url),
        session.get(url, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)) as response,
        target.open("wb") as file,
    ):
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise InstallError(f"{_shown(url)} redirects to an address without TLS. {_CLOSED}")
        if response.status_code != requests.codes.ok:
            raise InstallError(
                f"{_shown(url)} replies {response.status_code} {response.reason}. Check "
                f"--release and --base-url. {_CLOSED}"
            )
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        # Not decoded, because some mirrors send a .tar.gz with "Content-Encoding: gzip".
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
    "If this machine can't get there, download the archive elsewhere and use --archive FILE, or "
    "name a mirror with --base-url. “runws --server embedded” needs no download."
)


@contextlib.contextmanager
def _network_errors(url: str) -> Iterator[None]:
    host = urlsplit(url).hostname or _shown(url)
    try:
        yield
    except requests.exceptions.SSLError as exc:
        raise InstallError(f"The certificate of {host} can't be verified. {_CLOSED}") from exc
    except (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError) as exc:
        raise InstallError(
            f"No connection to {host} within {CONNECT_TIMEOUT:g} s. {_CLOSED}"
        ) from exc
    except (requests.exceptions.ReadTimeout, urllib3.exceptions.TimeoutError) as exc:
        raise InstallError(
            f"{host} sent nothing for {READ_TIMEOUT:g} s. Try again. {_CLOSED}"
        ) from exc
    except (urllib3.exceptions.HTTPError, requests.exceptions.ChunkedEncodingError) as exc:
        raise InstallError(f"The download from {host} broke off. Try again. {_CLOSED}") from exc
    except requests.exceptions.ConnectionError as exc:
        raise InstallError(f"No connection to {host}. {_CLOSED}") from exc
    except requests.exceptions.RequestException as exc:
        raise InstallError(f"{_shown(url)} can't be downloaded. Check --base-url.") from exc


def _shown(url: str) -> str:
    """Return ``url`` without a user name and password."""
    return re.sub(r"//[^/@]*@", "//", url)
