"""Live pages for Django: publish() in Python, a message in the browser."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instant.channels.declared import channel
    from instant.channels.names import user_channel, user_channels
    from instant.handlers import (
        before_send,
        on_connect,
        on_message,
        on_publish,
        on_refresh,
        on_rpc,
        on_subscribe,
    )
    from instant.inbound.listening.stream import listen
    from instant.messages import arequest, request, responder
    from instant.namespaces import Namespace
    from instant.producers import abroadcast, apublish, batch, broadcast, publish

__all__ = [
    "Namespace",
    "abroadcast",
    "apublish",
    "arequest",
    "batch",
    "before_send",
    "broadcast",
    "channel",
    "listen",
    "on_connect",
    "on_message",
    "on_publish",
    "on_refresh",
    "on_rpc",
    "on_subscribe",
    "publish",
    "request",
    "responder",
    "user_channel",
    "user_channels",
]


_ELSEWHERE = {
    "Namespace": "instant.namespaces",
    "arequest": "instant.messages",
    "listen": "instant.inbound.listening.stream",
    "on_message": "instant.handlers",
    "before_send": "instant.handlers",
    "channel": "instant.channels.declared",
    "on_connect": "instant.handlers",
    "on_publish": "instant.handlers",
    "on_refresh": "instant.handlers",
    "on_rpc": "instant.handlers",
    "on_subscribe": "instant.handlers",
    "request": "instant.messages",
    "responder": "instant.messages",
}
"""The modules of names that aren't the producers'."""


def __getattr__(name: str) -> Any:
    """
    Import a public name when it is first asked for.

    ``instant.embedded`` is part of this package and starts without Django.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _ELSEWHERE.get(name, "instant.producers")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
