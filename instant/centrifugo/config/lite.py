"""One-way connections in the server's config, and whom it asks about a ticket."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from instant.centrifugo.config.proxies import our_secret, our_secrets, proxy_to
from instant.centrifugo.config.sections import section
from instant.centrifugo.proxy import CONNECT

__all__ = ["compile_lite"]

_TRANSPORTS = ("uni_http_stream", "uni_sse")
_COOKIE = "Cookie"


def compile_lite(config: Mapping[str, Any], *, is_used: bool, url: str | None) -> dict[str, Any]:
    """
    Return a copy of the config for the lite script: with one-way transports where it is used.

    Who connects without a token shows a ticket, about which the server asks at ``url``; with
    None it doesn't. A proxy that asks another application stays, and then no ticket opens
    anything. What is switched off by hand stays off.
    """
    result = copy.deepcopy(dict(config))
    proxies = section(result, "client", "proxy")
    if is_used:
        for transport in _TRANSPORTS:
            section(result, transport).setdefault("enabled", True)
    given = proxies.get(CONNECT)
    secret = next(our_secrets(result), None)
    is_ours = our_secret(given) is not None
    if is_used and url is not None and secret is not None:
        if is_ours or not (isinstance(given, Mapping) and given.get("endpoint")):
            proxy = proxy_to(proxies, CONNECT, url, secret, under="client.proxy")
            headers = [name for name in proxy.get("http_headers") or () if name != _COOKIE]
            proxies[CONNECT] = {**proxy, "enabled": True, "http_headers": [*headers, _COOKIE]}
    elif is_ours:
        del proxies[CONNECT]
    if not proxies:
        del result["client"]["proxy"]
    return result
