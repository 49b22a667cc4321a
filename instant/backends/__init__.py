"""Where publications go: the class that ``INSTANT["BACKEND"]`` names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from instant import conf
from instant.backends.base import BaseBackend
from instant.exceptions import InstantConfigError

__all__ = ["BaseBackend", "get_backend", "replaced"]

_backend: BaseBackend | None = None
_replacement: BaseBackend | None = None
_lock = threading.Lock()


def get_backend() -> BaseBackend:
    """Return the backend that the settings name; one instance until they name another."""
    global _backend  # noqa: PLW0603  one value per process, replaced whole
    backend = _replacement or _backend
    if backend is None:
        with _lock:
            backend = _backend or _load(conf.current().backend)
            _backend = backend
    return backend


def _load(path: str) -> BaseBackend:
    try:
        cls = import_string(path)
    except ImportError as exc:
        raise InstantConfigError(f'INSTANT["BACKEND"]: {exc}') from exc
    if not (isinstance(cls, type) and issubclass(cls, BaseBackend)):
        raise InstantConfigError(f'INSTANT["BACKEND"]: {path} is not a subclass of BaseBackend.')
    return cls()


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
        _backend.close()
        _backend = None


setting_changed.connect(_forget, dispatch_uid="instant.backends")
