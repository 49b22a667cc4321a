"""Which handlers the apps have declared, and which of them a name belongs to."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from django.conf import settings

from instant.channels.declarations import NAME
from instant.inbound.arguments import Arguments
from instant.inbound.reserved import METHODS, REQUESTS
from instant.namespaces import Namespace

if TYPE_CHECKING:
    from instant.inbound.policies.base import Policy

__all__ = [
    "Function",
    "Handler",
    "Kind",
    "conflicts",
    "declared",
    "find_handler",
    "handlers",
    "is_method",
    "matching",
    "pools",
    "register",
]

Kind = Literal["rpc", "publish", "subscribe", "connect", "refresh", "send", "message"]

Function = Callable[..., Any]

_F = TypeVar("_F", bound=Function)

_METHOD = re.compile(r"[-a-zA-Z0-9_.*]{1,128}")
"""Without “:”: the server takes what stands before it for a pool."""

_RESPONDER = re.compile(REQUESTS + r"[-a-zA-Z0-9_.]{1,56}")
"""As long as a queue's name may be."""

_EXCLUSIVE = frozenset({"rpc", "publish", "subscribe"})
"""Kinds of which one handler answers; of the others all that match are called."""

_registry: list[Handler] = []


@dataclass(frozen=True, kw_only=True, eq=False)
class Handler:
    """A function that answers, and what was said of it where it was declared."""

    kind: Kind
    name: str
    """A method, a channel, or a pattern of them in which ``*`` stands for any characters."""
    function: Function
    namespace: type[Namespace] | None = None
    """The namespace whose channels it is about, where it was declared with one."""
    event_class: str = ""
    """The class of events that it is about; ``""`` for all."""
    anonymous: bool = False
    """Whether visitors who aren't logged in may call it."""
    can: str | Callable[[Any], Any] | None = None
    """The permission that a caller needs, or a function of the call that tells."""
    session: bool = False
    """Whether it gets the caller's session."""
    pool: str = ""
    policies: Sequence[Policy] = field(default=())
    """In the order in which a call meets them."""

    @cached_property
    def arguments(self) -> Arguments:
        """What the function takes beside the call."""
        taken = self.namespace.compiled().names if self.namespace is not None else frozenset()
        return Arguments(self.function, taken)

    @cached_property
    def place(self) -> str:
        """Where it stands: module and function, file and line."""
        at = self.file_and_line
        return f"{self.function_name} ({at})" if at else self.function_name

    @property
    def function_name(self) -> str:
        """The function with its module."""
        function = inspect.unwrap(self.function)
        name = getattr(function, "__qualname__", repr(function))
        return f"{getattr(function, '__module__', '?')}.{name}"

    @property
    def file_and_line(self) -> str:
        """Where the function begins; ``""`` where it has no code of its own."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""

    @cached_property
    def is_async(self) -> bool:
        """Whether the function is ``async def``."""
        return inspect.iscoroutinefunction(inspect.unwrap(self.function))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.name.split("*"))), re.DOTALL)

    def matches(self, name: str) -> bool:
        """Tell whether a method or channel is one of those that it is about."""
        if self.kind == "rpc" and name.startswith((METHODS, REQUESTS)) and "*" in self.name:
            return False  # no pattern answers for methods of ours, or for responders
        if self.namespace is not None:
            return self.namespace.parse(name) is not None
        return self.name == name or ("*" in self.name and bool(self._pattern.fullmatch(name)))

    @property
    def precision(self) -> tuple[bool, bool, int]:
        """How closely it names what it is about: of two that match, the larger one answers."""
        return ("*" not in self.name, self.namespace is not None, len(self.name))

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the declaration."""
        if self.namespace is not None and list(self.namespace.problems()):
            return  # told of the namespace
        if self.pool and not NAME.fullmatch(self.pool):
            yield f"{self.place}: a pool has a name such as 'heavy', not {self.pool!r}."
        if self.kind == "rpc" and self.name.startswith(REQUESTS):
            if not _RESPONDER.fullmatch(self.name):
                yield (
                    f"{self.place}: a responder has a name of at most 56 letters, digits, “-”, “_” "
                    f"and “.”, not {self.name.removeprefix(REQUESTS)!r}."
                )
        elif self.kind == "rpc" and not _METHOD.fullmatch(self.name):
            yield (
                f"{self.place}: a method has 1 to 128 letters, digits, “-”, “_” and “.”, and “*” "
                f"for any of them, not {self.name!r}."
            )
        if not (self.can is None or callable(self.can) or isinstance(self.can, str)):
            yield f"{self.place}: can is a permission or a function of the call, not {self.can!r}."
        elif isinstance(self.can, str) and "." not in self.can and _has_django_s_backend_alone():
            yield (
                f"{self.place}: nobody has the permission {self.can!r}, since Django's are such as "
                "'shop.change_order'. For a group or a flag write a function of the call: "
                "can=lambda call: call.user.is_staff."
            )
        yield from (f"{self.place}: {problem}" for problem in self.arguments.problems())
        for policy in self.policies:
            yield from (f"{self.place}: {problem}" for problem in policy.problems(self))


def _has_django_s_backend_alone() -> bool:
    """Tell whether permissions are Django's: other backends may give them names of any form."""
    return set(settings.AUTHENTICATION_BACKENDS) == {"django.contrib.auth.backends.ModelBackend"}


def register(kind: Kind, target: str | type[Namespace], **options: Any) -> Callable[[_F], _F]:
    """Return the decorator that registers a function, which it returns as it is."""
    is_class = isinstance(target, type) and issubclass(target, Namespace)
    if not is_class and not (isinstance(target, str) and target):
        what = "a method" if kind == "rpc" else "a Namespace, or a channel such as 'chat:*'"
        raise TypeError(f"on_{kind}() takes {what}, not {target!r}.")
    name = f"{target.name}:*" if is_class else target  # type: ignore[union-attr]
    namespace = target if is_class else None

    def decorate(function: _F) -> _F:
        _registry.append(
            Handler(kind=kind, name=name, namespace=namespace, function=function, **options)  # type: ignore[arg-type]
        )
        return function

    return decorate


_known: tuple[list[Handler], int, dict[Kind, list[Handler]]] = ([], 0, {})


def declared(kind: Kind) -> list[Handler]:
    """Return the handlers of a kind, as handlers() does; for what asks with each publication."""
    global _known  # noqa: PLW0603  a cache
    if _known[0] is not _registry or _known[1] != len(_registry):
        _known = (_registry, len(_registry), {})
    found = _known[2].get(kind)
    if found is None:
        found = _known[2][kind] = handlers(kind)
    return found


def handlers(*kinds: Kind) -> list[Handler]:
    """Return the handlers of these kinds, or all, in the order of their declaration."""
    return [handler for handler in _registry if not kinds or handler.kind in kinds]


def matching(kind: Kind, name: str) -> list[Handler]:
    """Return all handlers of a kind that a name belongs to, in the order of their declaration."""
    return [h for h in _registry if h.kind == kind and h.matches(name)]


def is_method(name: str) -> bool:
    """Tell whether a name can be a method's."""
    return "*" not in name and bool(_METHOD.fullmatch(name))


def find_handler(kind: Kind, name: str) -> Handler | None:
    """Return the handler that answers for a name: the one that names it most closely."""
    return max(matching(kind, name), key=lambda h: h.precision, default=None)


def pools() -> dict[str, str]:
    """
    Return what a page has to know of pools: methods, or patterns of them, and the pool of each.

    A method without a pool is among them only where a pattern with one would match it.
    """
    methods = handlers("rpc")
    pooled = [handler for handler in methods if handler.pool]
    return {h.name: h.pool for h in methods if h.pool or any(p.matches(h.name) for p in pooled)}


def conflicts() -> Iterator[tuple[str, list[Handler]]]:
    """Yield each name that several handlers claim of which one answers, with them."""
    claimed: dict[tuple[Kind, str], list[Handler]] = {}
    for handler in _registry:
        if handler.kind in _EXCLUSIVE:
            claimed.setdefault((handler.kind, handler.name), []).append(handler)
    for (_kind, name), claimants in claimed.items():
        if len(claimants) > 1:
            yield name, claimants
