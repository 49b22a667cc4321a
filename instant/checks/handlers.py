"""Handlers that can't answer, or of which nobody can tell which one does."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  Django's name
from django.utils.module_loading import import_string

from instant.inbound import registry
from instant.inbound.registry import Handler
from instant.inbound.reserved import METHODS
from instant.namespaces import registered

__all__ = ["handlers"]


def handlers() -> Iterator[CheckMessage]:
    """Yield what is wrong with the handlers that apps have declared."""
    for handler in registry.handlers():
        for problem in handler.problems():
            yield Error(problem, id="instant.E011")
        yield from _reserved(handler)
        yield from _never_asked(handler)
        yield from _parameters(handler)
    for name, claimants in registry.conflicts():
        kind = claimants[0].kind
        yield Error(
            f"{name!r} is answered by {' and by '.join(h.place for h in claimants)}.",
            hint=f"One @on_{kind} answers for a name: give one of them another, or take it away.",
            id="instant.E011",
        )
    yield from _sessions()


def _reserved(handler: Handler) -> Iterator[CheckMessage]:
    ours = handler.function_name.startswith("instant.")
    if handler.kind == "rpc" and handler.name.startswith(METHODS) and not ours:
        yield Error(
            f"{handler.place}: methods that begin with {METHODS!r} are Instant's own.",
            hint=f"Call it something else than {handler.name!r}.",
            id="instant.E011",
        )


def _never_asked(handler: Handler) -> Iterator[CheckMessage]:
    """Look for a handler of publications about which the server doesn't ask Django."""
    if handler.kind != "publish":
        return
    prefix = handler.name.partition(":")[0]
    for cls in [handler.namespace] if handler.namespace else registered():
        if getattr(cls, "name", None) == prefix and cls.client_publish != "ask":
            yield Error(
                f"{handler.place} would never run: {cls.__module__}.{cls.__qualname__} has "
                f"client_publish {cls.client_publish!r}, with which the server doesn't ask Django.",
                hint='Set client_publish = "ask" and write can_publish().',
                id="instant.E011",
            )


def _parameters(handler: Handler) -> Iterator[CheckMessage]:
    """Look for parameters that nothing gives, and for what is given and isn't taken."""
    if handler.kind == "message":
        return  # it gets the message, and nothing else
    arguments = handler.arguments
    if handler.namespace is not None and not list(handler.namespace.problems()):
        lacking = arguments.lacks(handler.namespace.compiled().names)
        if lacking:
            yield Error(
                f"{handler.place} doesn't take {', '.join(map(repr, lacking))}, which the names of "
                f"its channels have.",
                hint=f"Add parameters of that name, or **kwargs: {handler.namespace.pattern!r}.",
                id="instant.E011",
            )
    extra = [name for name in arguments.required if name not in _GIVEN.get(handler.kind, {name})]
    by_proxy = handler.namespace is not None and handler.namespace.authorize == "proxy"
    if extra and not (handler.kind == "subscribe" and by_proxy):
        yield Error(
            f"{handler.place} takes {', '.join(map(repr, extra))}, and nothing gives it that.",
            hint="Take it away, or give it a default.",
            id="instant.E011",
        )


_GIVEN: dict[str, set[str]] = {
    "send": set(),
    "subscribe": set(),
    "connect": {"refresh", "data"},
    "refresh": {"refresh", "data"},
}
"""Per kind what a function may need besides the channel's arguments; any payload for others."""


def _sessions() -> Iterator[CheckMessage]:
    asking = [handler.place for handler in registry.handlers() if handler.session]
    if asking and not any(map(_makes_sessions, settings.MIDDLEWARE)):
        yield Warning(
            f"{' and '.join(asking)}: no middleware of the site makes sessions, so call.session is "
            f"None.",
            hint="Add SessionMiddleware to MIDDLEWARE, or leave session=True out.",
            id="instant.W018",
        )


def _makes_sessions(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, SessionMiddleware)
