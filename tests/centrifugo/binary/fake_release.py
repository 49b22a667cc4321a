"""A release of Centrifugo on a local HTTP server, with a script for a binary."""

import contextlib
import gzip
import hashlib
import io
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "6.9.1"
LINUX = "centrifugo_6.9.1_linux_amd64.tar.gz"
WINDOWS = "centrifugo_6.9.1_windows_amd64.zip"
CHECKSUMS = "centrifugo_6.9.1_checksums.txt"
BINARY = b"#!/bin/sh\necho Centrifugo v6.9.1\n"


def script(body: str) -> bytes:
    """A binary that answers "version" and runs ``body`` otherwise."""
    return (
        f"#!{sys.executable}\n"
        "import json, os, signal, sys, time\n"
        "if sys.argv[1:] == ['version']:\n"
        "    print('Centrifugo v6.9.1 (Go version: go1.26)')\n"
        "    raise SystemExit\n"
        f"{body}\n"
    ).encode()


def member(name: str, content: bytes = b"", **attributes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def tar_gz(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    # Without the time, so that the same call makes the same bytes.
    return gzip.compress(out.getvalue(), mtime=0)


def good_tar(binary: bytes = BINARY) -> bytes:
    return tar_gz(
        member("LICENSE", b"Apache"),
        member("centrifugo", binary, mode=0o600),
        member("README.md", b"#"),
    )


def good_zip(binary: bytes = BINARY) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(zipfile.ZipInfo("LICENSE"), b"Apache")
        zipped.writestr(zipfile.ZipInfo("centrifugo.exe"), binary)
    return out.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class FakeRelease:
    """What the server has: paths below the base URL, ``v6.9.1/<name>``, to bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        """Paths that break off after so many bytes."""
        self.held: dict[str, threading.Event] = {}
        """Paths that stop in the middle until the event is set."""
        self.half_sent = threading.Event()
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.url = ""

    def publish(self, name: str, content: bytes, *, checksum: str | None = None) -> None:
        self.files[f"v{VERSION}/{name}"] = content
        listing = self.files.get(f"v{VERSION}/{CHECKSUMS}", b"").decode()
        listing += f"{checksum or sha256(content)}  {name}\n"
        self.files[f"v{VERSION}/{CHECKSUMS}"] = listing.encode()


@contextlib.contextmanager
def serve():
    fake = FakeRelease()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.removeprefix("/releases/")
            fake.asked.append(path)
            if path not in fake.files:
                self.send_error(404)
                return
            content = fake.files[path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            for key, value in fake.headers.items():
                self.send_header(key, value)
            self.end_headers()
            if path in fake.held:
                half = len(content) // 2
                self.wfile.write(content[:half])
                self.wfile.flush()
                fake.half_sent.set()
                fake.held[path].wait(60)
                content = content[half:]
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content[: fake.cut.get(path)])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        fake.url = f"http://127.0.0.1:{server.server_port}/releases"
        try:
            yield fake
        finally:
            for event in fake.held.values():
                event.set()
            server.shutdown()
            thread.join()
