"""What nginx needs to balance pools of several addresses: the work of ``syncws --nginx``."""

from __future__ import annotations

from urllib.parse import urlsplit

from instant.conf import Conf
from instant.exceptions import InstantConfigError
from instant.server import proxy_urls

__all__ = ["nginx_config"]

_HEAD = """\
# Written by “manage.py syncws --nginx”: the pools of INSTANT["POOLS"] that have several addresses.
# Include it in the “http” block of nginx.
"""

_UPSTREAM = """
upstream {name} {{
    least_conn;
{servers}
    keepalive 16;
}}
"""

_SERVER = """
server {{
    listen {listen};
    access_log off;
{locations}
    location / {{
        return 404;
    }}
}}
"""

_LOCATION = """
    location ~ /proxy/[a-z_]+/{pool}/$ {{
        proxy_pass {scheme}://{name};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
    }}
"""


def nginx_config(conf: Conf) -> str:
    """
    Return nginx's config for the pools that are used and have several addresses.

    A process that doesn't answer is passed over; a call that has reached one is not repeated.
    Raises InstantConfigError where there is no such pool, or POOLS_URL is no address to listen at.
    """
    pools = {
        pool: conf.pools[pool]
        for pool in proxy_urls.pool_urls(conf)
        if len(conf.pools.get(pool, ())) > 1
    }
    if not pools:
        raise InstantConfigError(
            "There is nothing to balance: no pool of a handler or a namespace has several "
            'addresses in INSTANT["POOLS"].'
        )
    at = urlsplit(conf.pools_url)
    if at.scheme != "http" or at.path:
        raise InstantConfigError(
            'INSTANT["POOLS_URL"] must be http:// with a host and a port, where nginx listens: '
            f"not {conf.pools_url!r}."
        )
    upstreams, locations = [], []
    for pool, addresses in pools.items():
        name = f"instant_{pool}"
        servers = "\n".join(f"    server {_host_and_port(address)};" for address in addresses)
        upstreams.append(_UPSTREAM.format(name=name, servers=servers))
        scheme = urlsplit(addresses[0]).scheme
        locations.append(_LOCATION.format(pool=pool.replace(".", r"\."), name=name, scheme=scheme))
    listen = _host_and_port(conf.pools_url)
    return _HEAD + "".join(upstreams) + _SERVER.format(listen=listen, locations="".join(locations))


def _host_and_port(address: str) -> str:
    url = urlsplit(address)
    host = f"[{url.hostname}]" if ":" in str(url.hostname) else url.hostname
    return f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"
