"""Where publications go: the class that ``INSTANT["BACKEND"]`` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from instant import conf
from instant.backends.base import BaseBackend
from instant.exceptions import InstantConfigError

__all__ = ["BaseBackend", "get_backend", "replaced"]

_backend: tuple[str, BaseBackend] | None = None
_replacement: BaseBackend | None = None


def get_backend() -> BaseBackend:
    """Return the backend that the settings name; one instance serves the process."""
    global _backend  # noqa: PLW0603  one value per process, replaced whole
    if _replacement is not None:
        return _replacement
    path = conf.current().backend
    known = _backend
    if known is not None and known[0] == path:
        return known[1]
    try:
        cls = import_string(path)
    except ImportError as exc:
        raise InstantConfigError(f'INSTANT["BACKEND"]: {exc}') from exc
    if not (isinstance(cls, type) and issubclass(cls, BaseBackend)):
        raise InstantConfigError(f'INSTANT["BACKEND"]: {path} is not a subclass of BaseBackend.')
    _backend = (path, cls())
    return _backend[1]


@contextmanager
def replaced(backend: BaseBackend) -> Iterator[BaseBackend | None]:
    """
    Let another backend take all publications of the process, whatever the settings name.

    Yields the one that it replaces, where that was a replacement too.
    """
    global _replacement  # noqa: PLW0603  tests publish from other threads too
    before = _replacement
    _replacement = backend
    try:
        yield before
    finally:
        _replacement = before


def _forget(*, setting: str, **_kwargs: Any) -> None:
    global _backend  # noqa: PLW0603  see get_backend()
    if setting == "INSTANT" and _backend is not None:
        _backend[1].close()
        _backend = None


setting_changed.connect(_forget, dispatch_uid="instant.backends")
