"""The address a server listens on, according to its config and environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from instant.exceptions import InstantConfigError

__all__ = ["Address", "listens_at", "with_port"]


@dataclass(frozen=True, slots=True)
class Address:
    """The address a server listens on. The host ``""`` means all addresses of the machine."""

    host: str
    port: int
    tls: bool = False
    names_host: bool = field(default=False, compare=False)
    """Whether the file or the environment sets the host; if not, it is the server's default."""
    names_port: bool = field(default=False, compare=False)
    """Whether the file or the environment sets the port."""
    internal_port: bool = field(default=False, compare=False)
    """Whether the API listens on a port of its own."""

    @property
    def is_everywhere(self) -> bool:
        """Whether it is all addresses of the machine."""
        return self.host in {"", "0.0.0.0", "::"}  # noqa: S104

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    @property
    def websocket(self) -> str:
        """The WebSocket URL as seen from this machine."""
        host = "localhost" if self.is_everywhere else self.host
        host = f"[{host}]" if ":" in host else host
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}/connection/websocket"


def listens_at(config: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Address:
    """
    Return the address that Centrifugo would listen on with this config and environment.

    Its own defaults are port 8000 and all addresses. Raises InstantConfigError if the port is
    not a number.
    """
    server = config.get("http_server") or {}
    given_host = environ.get("CENTRIFUGO_HTTP_SERVER_ADDRESS")
    host = given_host or server.get("address") or ""
    given_port = environ.get("CENTRIFUGO_HTTP_SERVER_PORT") or server.get("port")
    port = given_port or 8000
    tls = (server.get("tls") or {}).get("enabled") or (server.get("tls_autocert") or {}).get(
        "enabled"
    )
    try:
        return Address(
            str(host),
            int(port),
            tls is True,
            names_host=bool(given_host) or "address" in server,
            names_port=bool(given_port),
            internal_port=bool(server.get("internal_port")),
        )
    except (TypeError, ValueError):
        raise InstantConfigError(
            f"http_server.port in the config file must be a port number, not {port!r}."
        ) from None


def with_port(config: Mapping[str, Any], port: int) -> dict[str, Any]:
    """Return the config with another port."""
    return {**config, "http_server": {**(config.get("http_server") or {}), "port": port}}
