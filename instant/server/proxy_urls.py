"""The URLs at which the server asks Django, and what would keep Django from replying."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import NoReverseMatch, get_script_prefix, reverse

from instant.centrifugo.proxy import KINDS, RPC, Kind
from instant.conf import Conf
from instant.exceptions import InstantConfigError
from instant.inbound.connecting import visitors_call
from instant.inbound.registry import handlers
from instant.namespaces import registered

__all__ = [
    "connect_url",
    "namespace_pools",
    "obstacles",
    "pool_urls",
    "urls",
    "with_address",
    "with_cookie",
    "with_meta",
]

_HANDLED: tuple[Literal["subscribe", "publish", "rpc"], ...] = ("subscribe", "publish", "rpc")
"""The kinds that handlers are about."""

_NAMED = 3
"""How many of those for whom the server asks an error names."""

_LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""What Django allows under DEBUG if ALLOWED_HOSTS is empty; see its ``get_host()``."""


def urls(conf: Conf) -> Mapping[Kind, str] | None:
    """
    Return the URL for each kind of event, or None if nothing is to be asked.

    PROXY_URL is the address of the site's root, as the server reaches it: its path says what the
    web server expects before Django's own paths, which FORCE_SCRIPT_NAME doesn't tell. None
    is returned if no namespace and no handler wants the server to ask and PROXY_URL isn't set.
    Raises InstantConfigError if one does and no URL is known.
    """
    asking = [
        f"{cls.__module__}.{cls.__qualname__}"
        for cls in registered()
        if (cls.authorize == "proxy" or cls.client_publish == "ask") and not list(cls.problems())
    ]
    called = bool(handlers("rpc"))
    # Not those of ours, which are there because of theirs.
    asking += [
        handler.place
        for handler in handlers("rpc", "publish")
        if not handler.function_name.startswith("instant.")
    ]
    if not asking and not conf.proxy_url_given:
        return None
    if conf.proxy_url is None:
        who = " and ".join([*asking[:_NAMED], *(["others"] if len(asking) > _NAMED else [])])
        raise InstantConfigError(
            f"{who}: with authorize “proxy” or client_publish “ask”, and for handlers, the server "
            f'asks Django. Set INSTANT["PROXY_URL"] = "http://127.0.0.1:8000" in the settings, '
            f"with the address where it finds Django."
        )
    try:
        kinds = (*KINDS, RPC) if called else KINDS
        return {kind: conf.proxy_url + _path(kind) for kind in kinds}
    except NoReverseMatch as exc:
        raise InstantConfigError(
            "The server asks Django at Instant's URLs. Add to urls.py: "
            'path("instant/", include("instant.urls"))'
        ) from exc


def connect_url(conf: Conf) -> str | None:
    """Return the URL at which the server asks about tickets, None where it finds no Django."""
    if conf.proxy_url is None:
        return None
    return conf.proxy_url + "/" + reverse("instant:proxy_connect").removeprefix(get_script_prefix())


def pool_urls(conf: Conf) -> Mapping[str, Mapping[Kind, str]]:
    """
    Return the URLs of each pool that a handler or a namespace has, for what it is asked about.

    A pool with one address is asked there, one with several at POOLS_URL, where nginx balances
    them, and one that no setting names at PROXY_URL. Empty where the server can't ask.
    """
    kinds: dict[str, list[Kind]] = {}
    for handler in handlers("rpc"):
        if handler.pool and not list(handler.problems()):
            kinds.setdefault(handler.pool, []).append(RPC)
    for pool in namespace_pools().values():
        kinds.setdefault(pool, []).extend(KINDS)
    if conf.proxy_url is None:
        return {}
    return {
        pool: {
            kind: _pool_base(conf, pool) + _path(kind, pool)
            for kind in (*KINDS, RPC)
            if kind in kinds[pool]
        }
        for pool in sorted(kinds)
    }


def namespace_pools() -> dict[str, str]:
    """Return the pool of each namespace that has one."""
    return {cls.name: cls.pool for cls in registered() if not list(cls.problems()) and cls.pool}


def _pool_base(conf: Conf, pool: str) -> str:
    addresses = conf.pools.get(pool, ())
    if len(addresses) > 1:
        return conf.pools_url + urlsplit(addresses[0]).path
    return addresses[0] if addresses else str(conf.proxy_url)


def with_cookie() -> frozenset[Kind]:
    """Return the kinds with which the server hands on cookies: a handler wants the session."""
    return frozenset(
        kind for kind in _HANDLED if any(handler.session for handler in handlers(kind))
    )


def with_meta() -> frozenset[Kind]:
    """Return the kinds with which it hands on the connection's meta, for a handler."""
    if handlers("connect", "refresh"):
        return frozenset(kind for kind in _HANDLED if handlers(kind))
    return frozenset({RPC} if visitors_call() else ())


def with_address() -> frozenset[Kind]:
    """Return the kinds with which the server tells where a page is: a policy counts by it."""
    kinds: tuple[Literal["publish", "rpc"], ...] = ("publish", "rpc")
    return frozenset(
        kind for kind in kinds for h in handlers(kind) if any(p.uses_address for p in h.policies)
    )


def obstacles(found: Mapping[Kind, str]) -> Iterator[tuple[str, str]]:
    """Yield what would keep Django from replying at these URLs, each with the remedy."""
    kind, address = next(iter(found.items()))
    url = urlsplit(address)
    where = f"The server asks Django at {url.scheme}://{url.netloc}, and"
    host, _port = split_domain_port(url.netloc.lower())
    if not host:
        yield (
            f"{where} Django refuses that host name with 400: it isn't one by RFC 1034.",
            'Give the host in INSTANT["PROXY_URL"] a name without “_”, in Compose an alias.',
        )
        return
    mount = _path(kind).rpartition("/proxy/")[0]
    if mount and url.path.removesuffix(_path(kind)).endswith(mount):
        yield (
            f"{where} PROXY_URL ends with {mount!r}, which is added to it: a 404 for each request.",
            f'Leave {mount!r} out of INSTANT["PROXY_URL"].',
        )
    allowed = settings.ALLOWED_HOSTS or (_LOCAL_HOSTS if settings.DEBUG else [])
    if not validate_host(host, allowed):
        yield (
            f"{where} {host!r} is not in ALLOWED_HOSTS: every request is refused.",
            f"Add {host!r} to ALLOWED_HOSTS.",
        )
    # The server follows redirects, and does so with a GET.
    script = settings.FORCE_SCRIPT_NAME
    path = url.path if script is None else script.rstrip("/") + _path(kind)  # as request.path
    if (
        settings.SECURE_SSL_REDIRECT
        and url.scheme == "http"
        and not any(re.search(p, path.lstrip("/")) for p in settings.SECURE_REDIRECT_EXEMPT)
    ):
        yield (
            f"{where} SECURE_SSL_REDIRECT redirects that: every request is refused.",
            'Make INSTANT["PROXY_URL"] https, or add "/proxy/" to SECURE_REDIRECT_EXEMPT.',
        )
    if settings.PREPEND_WWW and not host.startswith("www."):
        yield (
            f"{where} PREPEND_WWW redirects that: every request is refused.",
            f'Use “www.{host}” in INSTANT["PROXY_URL"].',
        )


def _path(kind: Kind, pool: str = "") -> str:
    """Return the path of the view below the site's root, whatever stands before that here."""
    found = reverse(f"instant:proxy_{kind}", args=[pool] if pool else [])
    return "/" + found.removeprefix(get_script_prefix())
