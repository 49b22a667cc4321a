"""The keys of ``INSTANT``: what holds where one is not given, and what a value must be."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["DEFAULTS", "DESCRIPTIONS", "PLAIN_SETTINGS", "TYPES", "Description", "parse_secrets"]

DEFAULTS: dict[str, Any] = {
    "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
    "DIR": None,
    "AUTOSTART": None,
    "DATA": None,
    "ENGINE": None,
    "PUBLIC_URL": None,
    "PROXY_URL": None,
    "ALLOWED_ORIGINS": None,
    "ANONYMOUS": True,
    "LOGIN": True,
    "TOKEN_USE": 30,
    "TOKEN_LIFE": 3600,
    "TIMEOUT": 1.0,
    "ENFORCE": True,
    "ENFORCE_IN_BACKGROUND": True,
    "BREAKER": 5,
    "OUTBOX_PARTITIONS": 8,
    "OUTBOX_IMMEDIATE": False,
    "OUTBOX_KEEP": None,
    "OUTBOX_CONSUMER": None,
    "CHECK_QUERIES": 20,
    "SWEEP": "TOKEN_LIFE",
    "THROTTLE": {},
    "TRUSTED_PROXIES": None,
    "AUTHENTICATION": (),
    "TENANT": None,
}
"""The keys of ``INSTANT`` and what holds where one is not given."""

_DAY = 86_400
_YEAR = 366 * _DAY
_MOST_PARTITIONS = 1024


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _YEAR


def _is_websocket(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        url = urlsplit(value)
    except ValueError:
        return False
    return url.scheme in {"ws", "wss"} and bool(url.hostname)


def _is_address(value: str) -> bool:
    try:
        url = urlsplit(value)
        url.port  # noqa: B018  raises where it is none
    except ValueError:
        return False
    rest = url.query or url.fragment or url.username is not None
    return url.scheme in {"http", "https"} and bool(url.hostname) and not rest


def parse_secrets(value: object) -> tuple[str, ...]:
    """
    Read one secret or a list of them, the one to show first; none for None and "".

    Raises ValueError without the value, which neither a message nor a log may have.
    """
    listed = [value] if isinstance(value, str) and value else value or ()
    if not isinstance(listed, list | tuple) or not all(
        isinstance(text, str) and text.isascii() and text.isprintable() and text.strip()
        for text in listed
    ):
        del value, listed
        raise ValueError("must be a str of printable ASCII characters, or a list of such")
    return tuple(listed)


TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "BACKEND": (
        "a dotted path",
        lambda v: v is None or (isinstance(v, str) and "." in v),
    ),
    "DIR": ("a path", lambda v: v is None or (isinstance(v, str | os.PathLike) and str(v) != "")),
    "AUTOSTART": ("True, False or None", lambda v: v is None or isinstance(v, bool)),
    "DATA": ("a path", lambda v: v is None or (isinstance(v, str | os.PathLike) and str(v) != "")),
    "PUBLIC_URL": (
        "a ws:// or wss:// address, or a list of such",
        lambda v: (
            v is None
            or _is_websocket(v)
            or (isinstance(v, list | tuple) and len(v) > 0 and all(map(_is_websocket, v)))
        ),
    ),
    "PROXY_URL": (
        "an address such as “http://127.0.0.1:8000” or “https://example.com/app”",
        lambda v: v is None or (isinstance(v, str) and _is_address(v)),
    ),
    "ALLOWED_ORIGINS": (
        "a list of origins such as “https://example.com”",
        lambda v: v is None or (isinstance(v, list | tuple) and all(isinstance(o, str) for o in v)),
    ),
    "ANONYMOUS": ("True or False", lambda v: isinstance(v, bool)),
    "LOGIN": ("True or False", lambda v: isinstance(v, bool)),
    "ENFORCE": ("True or False", lambda v: isinstance(v, bool)),
    "ENFORCE_IN_BACKGROUND": ("True or False", lambda v: isinstance(v, bool)),
    "BREAKER": (
        "a whole number above 0, or None for never",
        lambda v: v is None or _is_int(v),
    ),
    "OUTBOX_PARTITIONS": (
        "a whole number from 1 to 1,024",
        lambda v: _is_int(v) and v <= _MOST_PARTITIONS,
    ),
    "OUTBOX_IMMEDIATE": ("True or False", lambda v: isinstance(v, bool)),
    "OUTBOX_KEEP": (
        "a whole number of seconds above 0, or None",
        lambda v: v is None or _is_int(v),
    ),
    "CHECK_QUERIES": ("a whole number above 0", _is_int),
    "SWEEP": (
        "a whole number of seconds above 0, “TOKEN_LIFE”, or None for never",
        lambda v: v is None or v == "TOKEN_LIFE" or _is_int(v),
    ),
    "AUTHENTICATION": (
        "a list of dotted paths",
        lambda v: (
            isinstance(v, list | tuple) and all(isinstance(path, str) and "." in path for path in v)
        ),
    ),
    "TENANT": ("a dotted path", lambda v: v is None or (isinstance(v, str) and "." in v)),
    "TOKEN_USE": ("a whole number of seconds above 0", _is_int),
    "TOKEN_LIFE": ("a whole number of seconds above 0", _is_int),
    "TIMEOUT": (
        "a number of seconds above 0",
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < _DAY,
    ),
}
"""What a value must be, in words and as a test, for keys that a test can tell it of."""


class Description(NamedTuple):
    """What a setting does, as Markdown for the documents, whose tables are made of these."""

    text: str
    default: str = ""
    """What holds where it isn't set; empty where the value in ``DEFAULTS`` says it all."""


PLAIN_SETTINGS: Mapping[str, Description] = {
    "SITE_NAME": Description("The `site` that publications name.", '`"Site"`'),
    "CENTRIFUGO_HOST": Description(
        "Where Django reaches the server's HTTP API: scheme and host, such as `http://localhost`.",
        "the address in `config.json`, else `http://localhost`",
    ),
    "CENTRIFUGO_PORT": Description(
        "The port of the server's HTTP API. Where the server runs on this machine, `runws` and "
        "`AUTOSTART` write it into `config.json`.",
        "the port in `config.json`, else 8427",
    ),
    "CENTRIFUGO_HMAC_KEY": Description("The key that signs tokens.", "`config.json`"),
    "CENTRIFUGO_API_KEY": Description("The key of the server's HTTP API.", "`config.json`"),
    "CENTRIFUGO_PROXY_SECRET": Description(
        "The secret that the server shows when it asks Django, or a list: the secret to use, then "
        "others that are still accepted. `syncws` writes the first into the server's config.",
        "`config.json`",
    ),
}
"""Django settings of their own, outside ``INSTANT``."""

DESCRIPTIONS: Mapping[str, Description] = {
    "BACKEND": Description(
        "Dotted path of the class that takes publications: "
        "`instant.backends.centrifugo.CentrifugoBackend`, "
        "`instant.backends.outbox.OutboxBackend` (see [The outbox](outbox.md)), "
        "`instant.backends.postgres.PostgresBrokerBackend` (in the transaction, see "
        "[Past one machine](scaling.md#publications-in-the-transaction)), "
        "`instant.backends.console.ConsoleBackend` (prints them), "
        "`instant.backends.locmem.LocmemBackend` (keeps them in a list), or your own subclass of "
        "`instant.backends.BaseBackend`.",
        "`CentrifugoBackend`; `LocmemBackend` under pytest",
    ),
    "DIR": Description(
        "The server's folder: its program, and `config.json` with the keys.",
        '`BASE_DIR / "centrifugo"`',
    ),
    "AUTOSTART": Description(
        "Whether the message server starts with the web server: with `runserver`, and with any "
        "WSGI or ASGI server. `False` leaves it to `runws`. See "
        "[Started by the web server](../centrifugo/README.md#started-by-the-web-server).",
        "`True` under `DEBUG`, otherwise `False`",
    ),
    "DATA": Description(
        "The file in which the embedded server keeps histories over a restart, as with "
        "`runws --data`. A relative path starts in `DIR`. Centrifugo doesn't use it.",
        "`None`: histories end with the server",
    ),
    "ENGINE": Description(
        'What the server keeps messages in: `"memory"`, or an address of Redis (a list of them '
        "are shards), NATS or PostgreSQL, through which several nodes are one server. A dict names "
        "`broker` and, where that doesn't know who is present, `presence` (a Redis) or `nodes` "
        "(each node's API). `runws` and `syncws` write it into the server's config. See "
        "[Past one machine](scaling.md).",
        'what `config.json` says; `"memory"` in a new one',
    ),
    "PUBLIC_URL": Description(
        "The WebSocket address that browsers connect to, such as "
        "`wss://example.com/connection/websocket` (the path that an address without one gets); or "
        "a list of addresses that they try in turn.",
        "the request's host with the server's port; `wss://` if the request is secure",
    ),
    "PROXY_URL": Description(
        "Where the server reaches Django, such as `http://127.0.0.1:8000`. Its host must be in "
        "`ALLOWED_HOSTS`. For a site below a path, see "
        "[A site below a path](proxies.md#a-site-below-a-path).",
        "`None`; `http://127.0.0.1:8000` under `DEBUG`",
    ),
    "ALLOWED_ORIGINS": Description(
        "Origins (globs) whose pages may connect to the server. `installws`, `runws` and `syncws` "
        "write them into its config, and remove those that they wrote before. Origins that you "
        "add there stay.",
        "from `CSRF_TRUSTED_ORIGINS` and `ALLOWED_HOSTS` (`.example.com` with its subdomains, `*` "
        "under `DEBUG` only); under `DEBUG` on any port, and this machine too",
    ),
    "ANONYMOUS": Description("Whether visitors who aren't logged in may connect."),
    "LOGIN": Description(
        "Whether the endpoint `login/` works. Set it to `False` on a site with a second factor."
    ),
    "TOKEN_USE": Description("Seconds for which a token can be used to connect or subscribe."),
    "TOKEN_LIFE": Description(
        "Seconds, ± 10 %, that a connection or subscription lasts before the page has to ask "
        "Django again."
    ),
    "TIMEOUT": Description(
        "Seconds for one call to the server's API: connecting, sending and reading together. "
        "Looking up its host name is not counted. A request that carries many publications has "
        "half a millisecond more for each."
    ),
    "ENFORCE": Description(
        "Whether rights that are revoked end on open connections. `False` turns all of it off: "
        "whoever is subscribed stays until the subscription expires."
    ),
    "ENFORCE_IN_BACKGROUND": Description(
        "Whether a thread in each web process runs follow-up checks after rights were revoked. "
        "Where threads can't run, set it to `False` and run `manage.py enforce --watch`.",
        "`True`; `False` under pytest",
    ),
    "BREAKER": Description(
        "After so many publications in a row that could not reach the server, others fail at once "
        "until it replies; one at a time still tries. `None`: each tries."
    ),
    "OUTBOX_PARTITIONS": Description(
        "Into how many lanes the outbox's rows are divided by channel. Each lane keeps its order, "
        "and several relays work on different ones."
    ),
    "OUTBOX_IMMEDIATE": Description(
        "Whether a publication that is a row of the outbox is also sent right after the commit, by "
        "the process that published it. The row is deleted then; where that fails it is sent later."
    ),
    "OUTBOX_KEEP": Description(
        "Seconds for which `relay_outbox` keeps rows that were sent. `None`: they are deleted at "
        "once."
    ),
    "OUTBOX_CONSUMER": Description(
        "How Centrifugo connects to PostgreSQL to send the outbox's rows by itself, such as "
        "`postgresql://centrifugo:…@127.0.0.1/shop`. No relay runs then.",
        "`None`: `relay_outbox` and `runws` send them",
    ),
    "CHECK_QUERIES": Description(
        "How many database queries the check after a change may cost the request that made the "
        "change. What is left is done in the background at once."
    ),
    "SWEEP": Description(
        "Seconds within which everybody who is subscribed by a right is checked again, for rights "
        "that end without a signal; `None` for never.",
        "`TOKEN_LIFE`",
    ),
    "THROTTLE": Description(
        "How often `login/` may fail: for one user name from one address (`PAIR`), for one address "
        "(`ADDRESS`), for one user name from everywhere (`NAME`). `CACHE` is the alias in `CACHES` "
        "that counts. A dict changes the keys that it names; `None` lifts one limit, or all.",
        '`{"PAIR": "10/5m", "ADDRESS": "30/5m", "NAME": "100/5m", "CACHE": "default"}`',
    ),
    "TRUSTED_PROXIES": Description(
        'Networks of your reverse proxies, such as `["10.0.0.0/8"]`, or `"unix"` for a Unix '
        "socket. Their `X-Forwarded-For` header tells where a login comes from. `[]` says that "
        "there is no proxy."
    ),
    "AUTHENTICATION": Description(
        "Dotted paths of authenticators for clients without a session. They are asked in order, "
        "before the session.",
        "`[]`",
    ),
    "TENANT": Description(
        "Dotted path of what knows the site's tenants, so that none sees another's channels and "
        "users on the server that they share: `instant.tenants.SchemaTenants` for django-tenants, "
        "or a class of your own. See [Tenants](tenants.md)."
    ),
}
"""What each key of ``INSTANT`` does."""
