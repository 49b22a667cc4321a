"""The gRPC server: where it listens, with which limits, and how it ends."""

from __future__ import annotations

import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc

from instant import conf
from instant.exceptions import InstantConfigError
from instant.inbound.rpc_server.servicer import Servicer
from instant.rights import credentials

__all__ = ["MAX_MESSAGE", "GatewayServer", "Options"]

MAX_MESSAGE = 64 * 1024
"""Bytes of a call, as of the gateway's bodies over HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where a server listens, and how much it takes on."""

    address: str = "127.0.0.1"
    port: int = 50051
    """0 for any that is free."""
    certificate: Path | None = None
    key: Path | None = None
    threads: int = 8
    """Calls that are answered at once."""
    waiting: int = 64
    """Calls that may wait for a thread; more are refused."""
    grace: float = 10.0
    """Seconds that calls have to end when the server stops."""


class GatewayServer:
    """Serves until stop(). Raises InstantConfigError where it could serve nobody, or not safely."""

    def __init__(self, options: Options) -> None:
        self._options = options
        _check_authentication()
        secrets = _tls(options)
        self.servicer = Servicer(secure=secrets is not None)
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="instant-grpc")
        self._server = grpc.server(
            self._pool,
            handlers=[self.servicer],
            maximum_concurrent_rpcs=options.threads + options.waiting,
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.so_reuseport", 0),  # two of them on one port would share its callers
            ],
        )
        self.port = self._listen(secrets)

    def _listen(self, secrets: Any) -> int:
        options = self._options
        host = f"[{options.address}]" if ":" in options.address else options.address
        where = f"{host}:{options.port}"
        try:
            if secrets is None:
                port = self._server.add_insecure_port(where)
            else:
                port = self._server.add_secure_port(where, secrets)
        except RuntimeError:
            port = 0
        if not port:
            self._pool.shutdown()
            raise InstantConfigError(
                f"It can't listen on {where}: the port is taken, or the address isn't this "
                "machine's. Choose others with --address and --port."
            )
        return int(port)

    @property
    def where(self) -> str:
        """Where clients find it."""
        options = self._options
        host = f"[{options.address}]" if ":" in options.address else options.address
        return f"{host}:{self.port}"

    def start(self) -> None:
        """Take calls, in threads."""
        self._server.start()

    def stop(self) -> bool:
        """
        Take no more calls, let those that run end, and cancel them after the grace period.

        Return whether all have ended; nobody can end a function that isn't async.
        """
        until = time.monotonic() + self._options.grace + 1
        stopped: threading.Event = self._server.stop(self._options.grace)
        stopped.wait(self._options.grace + 1)
        # To grpc a call has ended whose caller waits no more; its function may still run.
        ended = self.servicer.wait(max(until - time.monotonic(), 0))
        self._pool.shutdown(wait=ended, cancel_futures=True)
        return ended


def _check_authentication() -> None:
    paths = conf.current().authentication
    if not paths:
        raise InstantConfigError(
            "INSTANT['AUTHENTICATION'] is empty, so nobody could call. List what knows the "
            "credentials in a call's metadata, such as "
            "“rest_framework.authentication.TokenAuthentication”."
        )
    credentials.authenticators(paths)


def _tls(options: Options) -> Any:
    """Return the server's certificate for grpc; None without one, on this machine's own address."""
    certificate, key = options.certificate, options.key
    if certificate is None or key is None:
        if certificate is not None or key is not None:
            raise InstantConfigError("TLS needs both: --cert FILE and --key FILE.")
        if not _is_loopback(options.address):
            raise InstantConfigError(
                f"Without TLS, credentials would go to {options.address} for everybody to read. "
                "Give --cert FILE and --key FILE, or listen on 127.0.0.1 behind a proxy."
            )
        return None
    try:
        # It says what is wrong with the files; grpc doesn't.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        pair = key.read_bytes(), certificate.read_bytes()
    except (OSError, ssl.SSLError) as exc:
        reason = exc.strerror or str(exc)
        raise InstantConfigError(f"{certificate} and {key} can't be used: {reason}.") from exc
    return grpc.ssl_server_credentials([pair])


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
