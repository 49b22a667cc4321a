"""Where publications go: the class that ``INSTANT["BACKEND"]`` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from instant import conf
from instant.backends.base import BaseBackend
from instant.conf import isolation
from instant.exceptions import InstantConfigError

__all__ = ["BaseBackend", "get_backend", "replaced"]

_replacement: BaseBackend | None = None
_loaded: dict[str, BaseBackend] = {}
"""The one that the settings name, once it was needed; another dict when they change."""
_ONE = "backend"


def get_backend() -> BaseBackend:
    """Return the backend that the settings name; one instance until they name another."""
    isolation.notice()
    loaded = _loaded
    backend = _replacement or loaded.get(_ONE)
    if backend is None:
        # A lock may be held when another thread forks, and is then held in the child for ever.
        backend = loaded.setdefault(_ONE, _load(conf.current().backend))
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
    global _loaded
    if setting == "INSTANT":
        before, _loaded = _loaded, {}  # a load that is under way goes into the old one
        for backend in before.values():
            backend.close()


setting_changed.connect(_forget, dispatch_uid="instant.backends")
