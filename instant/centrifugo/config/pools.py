"""Pools in the server's config: named proxies, so that what is slow can't hold up the rest."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from instant.centrifugo.config.proxies import our_secret, our_secrets, proxy_to
from instant.centrifugo.config.sections import find_namespace, namespace_list, section, wrong_shape
from instant.centrifugo.proxy import KINDS, RPC, Kind

__all__ = ["compile_pools"]


def compile_pools(
    config: Mapping[str, Any],
    pools: Mapping[str, Mapping[Kind, str]],
    namespaces: Mapping[str, str],
) -> dict[str, Any]:
    """
    Return a copy of the config, whose proxies compile_proxies() has compiled, with these pools.

    ``pools`` has the URL for each kind of question of a pool, ``namespaces`` the pool of each
    namespace that has one. A pool's methods are called ``pool:method``: the server goes by what
    stands before the ``:``. A named proxy is ours if it shows the secret; those that aren't
    wanted any more are removed. Options that were added to one by hand are kept.
    """
    result = copy.deepcopy(dict(config))
    before = _named(result)
    ours = {name for name, proxy in before.items() if our_secret(proxy) is not None}
    secret = next(iter(our_secrets(result)), "")
    wanted = {}
    for pool, urls in pools.items():
        for kind, url in urls.items():
            proxy = proxy_to(before, _name(pool, kind), url, secret, under="proxies")
            wanted[_name(pool, kind)] = _handing_on(proxy, _default(result, kind))
    kept = [proxy for name, proxy in before.items() if name not in ours]
    listed = kept + [{"name": name, **_without_name(proxy)} for name, proxy in wanted.items()]
    if listed or "proxies" in result:
        result["proxies"] = listed
    _methods(result, [pool for pool, urls in pools.items() if RPC in urls], ours)
    _channels(result, namespaces, ours)
    return result


def _name(pool: str, kind: Kind) -> str:
    return f"{pool}.{kind}"


def _default(config: Mapping[str, Any], kind: Kind) -> Mapping[str, Any]:
    """Return the proxy of a kind for whatever has no pool."""
    found: Mapping[str, Any] = (
        config.get("rpc", {}).get("proxy", {}) if kind == RPC else config["channel"]["proxy"][kind]
    )
    return found


def _handing_on(proxy: dict[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Let it hand on of a page's request what another one does."""
    for key in ("http_headers", "include_connection_meta"):
        proxy.pop(key, None)
        if key in like:
            proxy[key] = like[key]
    return proxy


def _without_name(proxy: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in proxy.items() if key != "name"}


def _named(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    listed = config.get("proxies") or []
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise wrong_shape("proxies", "a list of objects")
    return {str(entry.get("name")): entry for entry in listed}


def _methods(config: dict[str, Any], pools: list[str], ours: set[str]) -> None:
    calls = config.get("rpc")
    if not pools and not isinstance(calls, dict):
        return
    calls = section(config, "rpc")
    listed = calls.get("namespaces") or []
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise wrong_shape("rpc.namespaces", "a list of objects")
    kept = [
        entry
        for entry in listed
        if entry.get("name") in pools or entry.get("proxy_name") not in ours
    ]
    for pool in pools:
        entry = {"name": pool, "proxy_enabled": True, "proxy_name": _name(pool, RPC)}
        place = find_namespace(kept, pool)
        if place is None:
            kept.append(entry)
        else:
            kept[place] = {**kept[place], **entry}
    if kept or listed:
        calls["namespaces"] = kept
        if not kept:
            del calls["namespaces"]
    if not calls:
        del config["rpc"]


def _channels(config: dict[str, Any], namespaces: Mapping[str, str], ours: set[str]) -> None:
    if not namespaces and not ours:
        return
    for entry in namespace_list(config):
        for kind in KINDS:
            key = f"{kind}_proxy_name"
            pool = namespaces.get(str(entry.get("name")))
            if entry.get(key) in ours:
                del entry[key]
            if pool is not None and entry.get(f"{kind}_proxy_enabled") and key not in entry:
                entry[key] = _name(pool, kind)
