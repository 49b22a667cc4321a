"""Which peers are the site's own reverse proxies: ``INSTANT["TRUSTED_PROXIES"]``, read."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

__all__ = ["UNIX", "Proxies", "parse_proxies"]

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNIX = "unix"
"""Stands in a list of proxies for a peer on a Unix socket, which has no address."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The peers whose ``X-Forwarded-For`` is believed."""

    networks: tuple[_Network, ...]
    unix: bool

    def trust(self, peer: _IP | None) -> bool:
        """Tell whether the peer is one of them; None is a peer without an address."""
        return self.unix if peer is None else any(peer in network for network in self.networks)


def parse_proxies(given: object) -> Proxies | None:
    """
    Read a list of networks and addresses, among them ``"unix"``; None stays None.

    Raises ValueError, which names what can't be read.
    """
    if given is None:
        return None
    if not isinstance(given, list | tuple):
        raise ValueError(  # noqa: TRY004  it is a setting's value that is wrong
            f"must be a list of networks such as “10.0.0.0/8”, not {given!r}"
        )
    networks = []
    for entry in given:
        if entry == UNIX:
            continue
        try:
            # An int would be read as an address too.
            networks.append(ipaddress.ip_network(entry if isinstance(entry, str) else ""))
        except ValueError as exc:
            raise ValueError(
                f"must hold networks such as “10.0.0.0/8” and “unix”, not {entry!r} ({exc})"
            ) from None
    return Proxies(tuple(networks), UNIX in given)
