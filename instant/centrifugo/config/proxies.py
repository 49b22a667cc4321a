"""The event proxies in the server's config: the URLs it asks Django at, and the shared secret."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from instant.centrifugo.config.defaults import new_secret
from instant.centrifugo.config.sections import section, wrong_shape
from instant.centrifugo.proxy import HEADER, KINDS, RPC, Kind
from instant.channels.names import USER_NAMESPACE
from instant.exceptions import InstantConfigError

__all__ = [
    "SECRET_VARIABLE",
    "TIMEOUT",
    "compile_proxies",
    "keeps_timeout",
    "our_secret",
    "our_secrets",
    "proxy_to",
    "secrets_in",
]

SECRET_VARIABLE = "CENTRIFUGO_VAR_PROXY_SECRET"  # noqa: S105  a name
"""Centrifugo replaces ``${CENTRIFUGO_VAR_…}`` in headers by the variable, and so does Instant."""

TIMEOUT = 3
"""
Seconds in which Django has to reply, unless the file says otherwise.

While the server waits, it does nothing else for the client that it asks about.
"""

_COOKIE = "Cookie"
FORWARDED = "X-Forwarded-For"
"""The header in which proxies tell where a request comes from."""

_VARIABLE = re.compile(r"\$\{(CENTRIFUGO_VAR_[A-Za-z0-9_]+)\}")


def compile_proxies(
    config: Mapping[str, Any],
    urls: Mapping[Kind, str] | None,
    *,
    secret: str | None = None,
    make_secret: Callable[[], str] = new_secret,
    with_cookie: Collection[Kind] = (),
    with_meta: Collection[Kind] = (),
    with_address: Collection[Kind] = (),
) -> dict[str, Any]:
    """
    Return a copy of the config with proxies that ask Django at ``urls``, or without any for None.

    ``secret`` is written into the file as it is, so it may name a variable. With None, the secret
    in the file is kept, or a new one is made. With proxies, the server also asks who may publish
    to channels outside of namespaces, because rows may allow it, and who
    may stay subscribed there and to the users' own channels. A proxy is ours if it sends the
    secret's header; options added to it by hand are kept. Raises InstantConfigError if there is
    already a proxy that isn't ours.

    Of a page's request the server hands on the Cookie header with the kinds ``with_cookie`` names,
    where it came from, as proxies say it, with those of ``with_address``, and ``meta`` of the
    connection's token with those of ``with_meta``; with no others, whatever the file says.
    """
    result = copy.deepcopy(dict(config))
    proxies = section(result, "channel", "proxy")
    if urls is None:
        _take_away(result, proxies)
        return result
    text = secret or next(iter(our_secrets(result)), None) or make_secret()

    def headers(kind: Kind) -> list[str]:
        wanted = ((_COOKIE, with_cookie), (FORWARDED, with_address))
        return [name for name, kinds in wanted if kind in kinds]

    for kind in KINDS:
        proxies[kind] = proxy_to(proxies, kind, urls[kind], text)
        _hand_on(proxies[kind], headers(kind), meta=kind in with_meta)
    if RPC in urls:
        calls = section(result, "rpc")
        calls["proxy"] = proxy_to(calls, "proxy", urls[RPC], text, under="rpc")
        _hand_on(calls["proxy"], headers(RPC), meta=RPC in with_meta)
        section(result, "rpc", "without_namespace")["proxy_enabled"] = True
    else:
        _take_calls_away(result)
    for options, kind in _asking(result):
        if f"{kind}_proxy_name" not in options:
            options[f"{kind}_proxy_enabled"] = True
    return result


def secrets_in(
    config: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """
    Return the secrets that a server with this config and environment sends.

    A secret that names an unset variable is left out: it would be known to everybody.
    """
    return tuple(
        _VARIABLE.sub(lambda match: environ[match[1]], text)
        for text in dict.fromkeys(our_secrets(config))
        if all(environ.get(name) for name in _VARIABLE.findall(text))
    )


def keeps_timeout(config: Mapping[str, Any]) -> bool:
    """Tell whether the server waits TIMEOUT for the reply about a subscription."""
    proxy = config.get("channel", {}).get("proxy", {}).get("subscribe", {})
    return bool(proxy.get("timeout", f"{TIMEOUT}s") == f"{TIMEOUT}s")


def _asking(config: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Kind]]:
    """
    Yield what is asked about channels that nobody declares: rows, and the users' own.

    That tokens open them doesn't matter: Centrifugo 6.9.1 takes an expired token in a refresh,
    and the subscription never ends, but where it asks itself.
    """
    rows = section(config, "channel", "without_namespace")
    yield rows, "publish"
    yield rows, "sub_refresh"
    for entry in config["channel"].get("namespaces") or ():
        if isinstance(entry, dict) and entry.get("name") == USER_NAMESPACE:
            yield entry, "sub_refresh"


def _take_away(config: dict[str, Any], proxies: dict[str, Any]) -> None:
    _take_calls_away(config)
    ours = [kind for kind in KINDS if our_secret(proxies.get(kind)) is not None]
    for kind in ours:
        del proxies[kind]
    for options, kind in _asking(config) if ours else ():
        if kind in ours and f"{kind}_proxy_name" not in options:
            options.pop(f"{kind}_proxy_enabled", None)
    if not proxies:
        del config["channel"]["proxy"]


def _take_calls_away(config: dict[str, Any]) -> None:
    calls = config.get("rpc")
    if not isinstance(calls, dict) or our_secret(calls.get("proxy")) is None:
        return
    del calls["proxy"]
    section(calls, "without_namespace", under="rpc").pop("proxy_enabled", None)
    if not calls["without_namespace"]:
        del calls["without_namespace"]
    if not calls:
        del config["rpc"]


def proxy_to(
    proxies: Mapping[str, Any], kind: str, url: str, secret: str, *, under: str = "channel.proxy"
) -> dict[str, Any]:
    """Return the proxy ``kind`` of those in the file, so that it asks at the URL."""
    given = proxies.get(kind) or {}
    path = f"{under}.{kind}"
    if not isinstance(given, dict):
        raise wrong_shape(path, "an object")
    if given.get("endpoint") not in {None, "", url} and our_secret(given) is None:
        raise InstantConfigError(
            f"{path} in the server's config asks another application. Instant needs this proxy: "
            f"move the other one into “proxies”, give it a name there, and set that name as "
            f"“{'' if under == RPC else f'{kind}_'}proxy_name” in its namespaces."
        )
    http = dict(section(dict(given), "http", under=path))
    headers = dict(section(http, "static_headers", under=f"{path}.http"))
    for name in [name for name in headers if name.lower() == HEADER.lower()]:
        del headers[name]
    http["static_headers"] = {**headers, HEADER: secret}
    return {"timeout": f"{TIMEOUT}s", **given, "endpoint": url, "http": http}


def _hand_on(proxy: dict[str, Any], headers: Sequence[str], *, meta: bool) -> None:
    """Let the server hand on headers of a page's request and its connection's meta, or not."""
    given = proxy.pop("http_headers", None) or []
    if not isinstance(given, list):
        raise wrong_shape("http_headers", "a list")
    ours = {_COOKIE.lower(), FORWARDED.lower()}
    kept = [*(name for name in given if str(name).lower() not in ours), *headers]
    if kept:
        proxy["http_headers"] = kept
    proxy.pop("include_connection_meta", None)
    if meta:
        proxy["include_connection_meta"] = True


def our_secrets(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the secrets of our proxies, as the file spells them."""
    channel, calls = config.get("channel"), config.get("rpc")
    proxies = channel.get("proxy") if isinstance(channel, Mapping) else None
    found = [proxies.get(kind) for kind in KINDS] if isinstance(proxies, Mapping) else []
    found += [calls.get("proxy")] if isinstance(calls, Mapping) else []
    yield from filter(None, map(our_secret, found))


def our_secret(proxy: Any) -> str | None:
    """Return the secret that a proxy shows; None where it isn't ours."""
    http = proxy.get("http") if isinstance(proxy, Mapping) else None
    headers = http.get("static_headers") if isinstance(http, Mapping) else None
    if not isinstance(headers, Mapping):
        return None
    found = [text for name, text in headers.items() if name.lower() == HEADER.lower()]
    return found[0] if found and isinstance(found[0], str) else None
