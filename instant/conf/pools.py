"""Which processes of Django answer for which pool: ``INSTANT["POOLS"]``, read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

__all__ = ["Pools", "pools_parser"]

Pools = Mapping[str, tuple[str, ...]]
"""The addresses of each pool: where the server, or the balancer before them, finds Django."""

_NAME = re.compile(r"[-a-zA-Z0-9_.]{2,}")
"""Centrifugo's grammar of namespaces, which pools are for its methods."""


def pools_parser(is_address: Callable[[str], bool]) -> Callable[[object], Pools]:
    """Return what reads ``INSTANT["POOLS"]``, and raises ValueError for what can't be one."""

    def parse(given: object) -> Pools:
        if not isinstance(given, Mapping):
            raise ValueError("must be a dict of pools and their addresses")  # noqa: TRY004  as others
        return MappingProxyType({_name(name): _addresses(name, of) for name, of in given.items()})

    def _addresses(name: str, given: object) -> tuple[str, ...]:
        listed = [given] if isinstance(given, str) else given
        if (
            not isinstance(listed, list | tuple)
            or not listed
            or not all(isinstance(one, str) and is_address(one) for one in listed)
        ):
            raise ValueError(
                f"needs for {name!r} a list of addresses such as “http://127.0.0.1:8001”, "
                f"not {given!r}"
            )
        addresses = tuple(address.rstrip("/") for address in listed)
        if len({(urlsplit(a).scheme, urlsplit(a).path) for a in addresses}) > 1:
            raise ValueError(f"has addresses for {name!r} that differ in more than host and port")
        return addresses

    return parse


def _name(given: object) -> str:
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise ValueError(
            f"has the pool {given!r}: a name has two or more of letters, digits, “-”, “_” and “.”"
        )
    return given
