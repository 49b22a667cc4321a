"""
The project's tenants, where it has any.

Everything here is in the context of the call: a database connection or a ContextVar says which
tenant that is, and only the project's class knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import groupby
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from instant import conf
from instant.channels.names import MAX_BYTES
from instant.exceptions import InstantConfigError, InvalidChannelName
from instant.tenancy import wire

__all__ = [
    "activate",
    "acurrent",
    "are_used",
    "by_tenant",
    "current",
    "every",
    "from_wire",
    "is_name",
    "on_wire",
    "tenants",
    "to_wire",
]

_NAME = re.compile(r"[-A-Za-z0-9_.]{1,63}")

_T = TypeVar("_T")


class _Unread:
    """Stands for what the settings name until it is needed: it may import the project's models."""


tenants: Any = _Unread()
"""What ``INSTANT["TENANT"]`` names; None where it names nothing, which costs publish() one look."""


def _load() -> Any:
    """Return the project's tenants, or None; raise InstantConfigError where they can't be used."""
    global tenants  # noqa: PLW0603  what the settings say
    if not isinstance(tenants, _Unread):
        return tenants
    path = conf.tenant_path()
    if path is None:
        tenants = None
        return None
    try:
        found = import_string(path)
        found = found() if isinstance(found, type) else found
    except ImportError as exc:
        raise InstantConfigError(f'INSTANT["TENANT"]: {exc}') from exc
    if not all(callable(getattr(found, name, None)) for name in ("current", "all", "activate")):
        raise InstantConfigError(
            f'INSTANT["TENANT"]: {path} needs current(), all() and activate(name); see '
            f"instant.tenants.Tenants."
        )
    tenants = found
    return found


def are_used() -> bool:
    """Tell whether the project has tenants."""
    return tenants is not None and _load() is not None


def current() -> str:
    """Return the current tenant, ``""`` for none; raise InstantConfigError for a bad name."""
    found = _load()
    return "" if found is None else _checked(found.current())


async def acurrent() -> str:
    """Return the tenant of async code: a connection belongs to the thread of synchronous code."""
    return await sync_to_async(current)() if are_used() else ""


def every() -> Iterator[str]:
    """Yield all tenants, as the project names them; activate() refuses a bad name."""
    found = _load()
    yield from [""] if found is None else dict.fromkeys(found.all())


def activate(name: str) -> AbstractContextManager[Any]:
    """
    Return a context manager in whose body the tenant is the current one.

    It may raise LookupError or InstantConfigError, and so may entering it.
    """
    found = _load()
    if found is None or found.current() == name:
        return nullcontext()
    activated: AbstractContextManager[Any] = found.activate(_checked(name))
    return activated


def by_tenant(things: Iterable[_T], tenant: Callable[[_T], str]) -> Iterator[tuple[str, list[_T]]]:
    """Yield the things of each tenant together, in their order."""
    for name, group in groupby(sorted(things, key=tenant), tenant):
        yield name, list(group)


def on_wire(names: Sequence[str], tenant: str | None = None) -> Sequence[str]:
    """
    Return the server's names of channels that are published to, in the current tenant or another.

    Raises InvalidChannelName where one has become too long for the server.
    """
    if not are_used():
        return names
    tenant = current() if tenant is None else tenant
    found = [wire.channel(tenant, name) for name in names]
    if found and len(longest := max(found, key=len)) > MAX_BYTES:
        raise InvalidChannelName(
            f"{longest[:40]!r}… has {len(longest)} characters with its tenant; a name has at most "
            f"{MAX_BYTES} bytes."
        )
    return found


def to_wire(name: str) -> str:
    """Return the server's name of a channel of the current tenant."""
    return name if tenants is None else wire.channel(current(), name)


def from_wire(name: str) -> str:
    """Return a channel's own name where the server's is that of the current tenant's."""
    if not are_used():
        return name
    tenant, own = wire.split(name)
    return own if tenant == current() else name


def is_name(text: str) -> bool:
    """Tell whether a tenant may be called so."""
    return text == "" or _NAME.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _checked(name: Any) -> str:
    if not isinstance(name, str) or not is_name(name):
        raise InstantConfigError(
            f"INSTANT['TENANT'] names the tenant {name!r}: a tenant's name has at most 63 of "
            "letters, digits, “-”, “_” and “.”, since it becomes part of the names of channels "
            "and users. Let current(), all() and activate() use another one, such as a slug."
        )
    return name


def _forget(*, setting: str, **_kwargs: Any) -> None:
    global tenants  # noqa: PLW0603  see _load()
    if setting == "INSTANT":
        tenants = _Unread()


setting_changed.connect(_forget, dispatch_uid="instant.tenancy")
