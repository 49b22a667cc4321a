"""What a page needs: the script tag with its config, its state, the address of the server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.http import HttpRequest
from django.http.request import split_domain_port
from django.template import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from instant import conf
from instant.exceptions import InstantConfigError
from instant.namespaces import tokenless_namespaces
from instant.pages import embedding, loading
from instant.pages import source as sources
from instant.pages.lists.element import element as _list
from instant.stored.push import vapid
from instant.streaming import element as streaming
from instant.tenancy import current as tenancy
from instant.tenancy import wire

__all__ = [
    "bell",
    "connect_sources",
    "lite",
    "live_script",
    "livelist",
    "push_options",
    "script",
    "script_config",
    "source",
    "state",
    "stream",
    "stream_script",
    "websocket_url",
]


_VIEWS = ("get_token", "history", "login", "logout", "presence", "snapshot", "subscribe")


def websocket_url(request: HttpRequest) -> str | Sequence[str]:
    """
    Return where the browser finds the server: ``PUBLIC_URL``, or the request's host at its port.

    Several addresses, where ``PUBLIC_URL`` is a list, are tried in turn.
    """
    settings = conf.current()
    if settings.public_url is not None:
        return settings.public_url
    host, _port = split_domain_port(request.get_host())
    scheme = "wss" if request.is_secure() else "ws"
    return f"{scheme}://{host}:{settings.public_port}/connection/websocket"


def connect_sources(request: HttpRequest) -> list[str]:
    """
    Return what a Content Security Policy has to name in ``connect-src``, beside ``'self'``.

    For each address its origin twice: with ``ws`` for WebSockets and with ``http`` for the ways
    to connect where none gets through (``wss`` and ``https`` where the address is secure).
    """
    urls = websocket_url(request)
    found = []
    for url in [urls] if isinstance(urls, str) else urls:
        scheme, rest = url.split("://")
        host = rest.partition("/")[0]
        found += [f"{scheme}://{host}", f"{scheme.replace('ws', 'http')}://{host}"]
    return list(dict.fromkeys(found))


def script_config(*, shared: bool | None = None) -> dict[str, Any]:
    """
    Return what the script needs to know: addresses, names, and the texts of <instant-status>.

    No token and no user data; the texts are in the language that is active, and ``prefix`` is
    there for a tenant's pages only: what its names have before them on the server. With
    ``shared``, else with ``SHARED_CONNECTION``, the tabs of a browser share one connection.
    """
    settings = conf.current()
    try:
        urls = {name: reverse(f"instant:{name}") for name in _VIEWS}
        # The script puts the rest behind it.
        urls["messages"] = reverse("instant:outstanding").removesuffix("outstanding/")
        if settings.gateway:  # the script puts a method's name behind it
            urls["rpc"] = reverse("instant:rpc", args=["-"]).removesuffix("-/")
    except NoReverseMatch as exc:
        raise InstantConfigError(
            "{% instant_script %} needs Instant's URLs. Add to urls.py: "
            'path("instant/", include("instant.urls"))'
        ) from exc
    prefix = wire.prefix(tenancy.current())
    return {
        **({"prefix": prefix} if prefix else {}),
        "urls": urls,
        # Loaded when they are used first. A storage may put hashes into their names.
        "calls": static("instant/instant.calls.min.js"),
        "stored": static("instant/instant.stored.min.js"),
        **(
            {"shared": static("instant/instant.shared.min.js")}
            if (settings.shared_connection if shared is None else shared)
            else {}
        ),
        "csrf": {
            "cookie": django_settings.CSRF_COOKIE_NAME,
            "header": _header(django_settings.CSRF_HEADER_NAME),
        },
        # A page that sends more at once would lose its connection.
        "size_limit": settings.size_limit,
        # Whose channels are subscribed to without a token, because the server asks Django itself.
        "tokenless": tokenless_namespaces(),
        "texts": {
            "connecting": gettext("Connecting…"),
            "live": gettext("Connected again."),
            "catching-up": gettext("Catching up…"),
            "offline": gettext("Not connected. Trying again…"),
            "stopped": gettext("Not connected. Reload the page to try again."),
            "signed-out": gettext("You are signed out."),
        },
    }


def _header(meta: str) -> str:
    """Return the header that Django files under the name in ``request.META``."""
    return meta.removeprefix("HTTP_").replace("_", "-").title()


def script(nonce: str | None = None, *, shared: bool | None = None) -> SafeString:
    """
    Return the script tag. It is the same for everybody of a site, so pages can be cached.

    ``shared`` is for this page what the setting ``SHARED_CONNECTION`` is for all.
    """
    config = json.dumps(script_config(shared=shared), separators=(",", ":"), sort_keys=True)
    return format_html(
        '<script src="{}" data-instant="{}"{}></script>',
        static("instant/instant.min.js"),
        config,
        format_html(' nonce="{}"', nonce) if nonce else "",
    )


def lite(nonce: str | None = None) -> SafeString:
    """
    Return the tag of the lite script. It is the same for everybody of a site.

    Raises InstantConfigError where ``INSTANT["LITE"]`` isn't True.
    """
    if not conf.current().lite:
        raise InstantConfigError('{% instant_lite %} needs INSTANT["LITE"] = True in the settings.')
    return format_html(
        '<script src="{}" data-instant-lite="{}"{}></script>',
        static("instant/instant.lite.min.js"),
        reverse("instant:lite"),
        format_html(' nonce="{}"', nonce) if nonce else "",
    )


def live_script(where: HttpRequest | Context | None) -> SafeString:
    """
    Return the tag of the script of live pages, the first time that a request needs it.

    ``where`` is the request, or the context of a template. Empty afterwards, and without a request,
    as in an email. The tags of live pages call it themselves.
    """
    return loading.script(where)


def bell(nonce: str | None = None) -> SafeString:
    """Return <instant-bell>, and the tag of its script. It is the same for everybody of a site."""
    config: dict[str, Any] = {
        "urls": {
            "list": reverse("instant:notifications"),
            "read": reverse("instant:notifications_read"),
        },
        "texts": {
            "title": gettext("Notifications"),
            "one": gettext("1 unread"),
            "mark": gettext("Unread"),
            # Translators: {n} is a number of notifications.
            "unread": gettext("{n} unread"),
            "all": gettext("Mark all as read"),
            "older": gettext("Show older ones"),
            "none": gettext("You have no notifications yet."),
            "failed": gettext("The notifications could not be loaded."),
            "again": gettext("Try again"),
        },
    }
    if (options := push_options()) is not None:
        config["push"] = {**options, "script": static("instant/instant.push.min.js")}
        config["texts"] |= {
            "push": gettext("Notify me on this device"),
            "denied": gettext("Your browser blocks notifications from this site."),
            "notSwitched": gettext("That did not work. Try again later."),
        }
    return format_html(
        "<instant-bell hidden></instant-bell>"
        '<script src="{}" data-instant-bell="{}" defer{}></script>',
        static("instant/instant.bell.min.js"),
        json.dumps(config, separators=(",", ":"), sort_keys=True),
        format_html(' nonce="{}"', nonce) if nonce else "",
    )


def push_options() -> dict[str, Any] | None:
    """Return what a page needs to let its browser be notified: a public key, and views; or None."""
    key = vapid.public_key()
    views = ("worker", "subscribe", "unsubscribe")
    urls = {name: reverse(f"instant:push_{name}") for name in views}
    return None if key is None else {"key": key, "urls": urls}


def source(channel: str, *, events: str = "") -> SafeString:
    """
    Return an element that shows what ``send_html()`` sends to a channel, and tells of messages.

    It dispatches DOM events for each message, for those with one of the ``events`` (separated by
    commas or spaces) where there are any. It names the position of the channel, which the server
    tells within ``TIMEOUT``: what is published from now on comes, however late the page subscribes.
    There is none on an event loop, in a transaction that may not see the newest, and where the
    server can't be reached. Raises InvalidChannelName, ValueError for what is no name at all.
    """
    _flat("instant_source", [channel])
    return sources.element(channel, events)


def state(request: HttpRequest, *channels: str | Iterable[str]) -> SafeString:
    """
    Return an element with the states of channels, from which the page's script goes on.

    It has what the snapshot() of their namespaces returns, each with its position, for those to
    which the request's user may subscribe. It is empty where there is nothing, or nothing can be
    told now: the script then asks by itself. The answer is marked ``private`` by StateMiddleware,
    unless the namespaces say ``snapshot_is_public``. Raises InstantConfigError without that
    middleware, ValueError for a channel whose namespace has no snapshot() and for more than 100,
    and whatever snapshot() raises.
    """
    return embedding.element(request, _flat("instant_state", channels))


def livelist(
    where: HttpRequest | Context | None,
    queryset: Any,
    template: str,
    *,
    row: str = "",
    public: bool = False,
    tag: str = "instant-list",
    **attributes: Any,
) -> SafeString:
    """
    Return an element with the rows of a queryset, which the page's script keeps up to date.

    ``template`` shows one, as the variable ``row`` (the model's name unless given), and begins
    with its element. ``tag`` is the element around them, as ``tbody``, with these attributes
    (``_`` stands for ``-``). A ``public`` list is the same for everybody: its templates get no
    request. ``where`` is the request, or a template's context; without one, as in a mail, it is
    the rows alone. Raises ValueError for a queryset that can't be followed, and
    InstantConfigError without StateMiddleware.
    """
    request = loading.request_of(where)
    found = _list(request, queryset, template, row=row, public=public, tag=tag, **attributes)
    return found + live_script(where)


def _flat(tag: str, channels: Iterable[Any]) -> list[str]:
    found: list[Any] = []
    for one in channels:
        found.extend(one if isinstance(one, Iterable) and not isinstance(one, str) else [one])
    for name in found:
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"{name!r} is no channel's name. Does the template's context have the variable of "
                f"{{% {tag} … %}}?"
            )
    return found


def stream(request: HttpRequest, channel: str, **attributes: Any) -> SafeString:
    """
    Return <instant-stream> with what was written to the channel, which its script continues.

    The text is there for whom may subscribe to the channel, and for nobody else; the answer is
    marked ``private`` by StateMiddleware, unless the channel is open to everybody. It needs the
    script of stream_script() in the page. ``attributes`` become the element's: ``aria_live``
    becomes ``aria-live``. Raises InstantConfigError without that middleware.
    """
    _flat("instant_stream", [channel])
    return streaming.element(request, channel, attributes)


def stream_script(request: HttpRequest | None = None, nonce: str | None = None) -> SafeString:
    """Return the tag of the script of <instant-stream>; empty the second time in a request."""
    return streaming.script(request, nonce)
