"""
The server's config.json: what Instant needs in it, and how it gets onto the disk.

Keys are those of Centrifugo v6, nested. Whatever a file holds already stays; only what is
missing is added, so that a person may edit the file between two runs.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from instant.exceptions import InstantConfigError

__all__ = [
    "CHANNEL_OPTIONS",
    "DEFAULT_ADDRESS",
    "DEFAULT_PORT",
    "NAMESPACES",
    "compile_config",
    "is_flat",
    "new_secret",
    "read_config",
    "write_config",
]

DEFAULT_ADDRESS = "127.0.0.1"
"""Only this machine: the API and the sockets share a port, a proxy stands before both."""

DEFAULT_PORT = 8427
"""Centrifugo's own default is 8000, which is where ``runserver`` listens."""

CHANNEL_OPTIONS: Mapping[str, Any] = {
    "presence": True,
    "history_size": 100,
    "history_ttl": "300s",
    "force_recovery": True,
}
"""
Missed messages are replayed. No ``allow_*`` key: a channel opens with a token or not at all.
"""

NAMESPACES = ("user",)
"""Namespaces that are always there: ``user:<pk>`` is every user's own channel."""

_HISTORY = ("history_size", "history_ttl", "force_recovery")

_FLAT: Mapping[str, tuple[str, ...]] = {
    "token_hmac_secret_key": ("client", "token", "hmac_secret_key"),
    "token_audience": ("client", "token", "audience"),
    "api_key": ("http_api", "key"),
    "allowed_origins": ("client", "allowed_origins"),
    "address": ("http_server", "address"),
    "port": ("http_server", "port"),
    "admin": ("admin", "enabled"),
    "admin_password": ("admin", "password"),
    "admin_secret": ("admin", "secret"),
}
"""
Where the keys of a Centrifugo 3 or 4 file went in v6: what its ``genconfig`` and the
``installws`` of django-instant 4 wrote, and the few that people added most.
"""

_FLAT_MARKS = frozenset({"token_hmac_secret_key", "api_key", "allowed_origins"})
_SUPERFLUOUS = frozenset({"v3_use_offset"})  # v4 and later do as it says
_SCALARS = frozenset({"pid_file", "enable_unreleased_features"})
_LISTS = frozenset({"proxies", "consumers"})


def new_secret() -> str:
    """Return a fresh random secret of 64 URL-safe characters (384 bits)."""
    return secrets.token_urlsafe(48)


def compile_config(
    existing: Mapping[str, Any] | None,
    *,
    allowed_origins: Iterable[str],
    audience: str,
    port: int = DEFAULT_PORT,
    address: str = DEFAULT_ADDRESS,
    secret: Callable[[], str] = new_secret,
) -> dict[str, Any]:
    """
    Return ``existing`` completed with all that Instant needs from the server.

    Values that are there stay, the two secrets above all; origins are added to those of the
    file. The two secrets that ``secret`` makes where there are none differ: one signs tokens,
    the other opens the HTTP API. A Centrifugo 3 or 4 file is carried over to the keys of v6
    with its secrets. ``existing`` itself is not changed.

    Raises InstantConfigError where a value has the wrong shape to be completed, or where an
    old file holds keys that have no known place in v6.
    """
    config = copy.deepcopy(dict(existing or {}))
    if is_flat(config):
        config = _from_flat(config)
    server = _section(config, "http_server")
    server.setdefault("address", address)
    server.setdefault("port", port)
    token = _section(config, "client", "token")
    _fill(token, "hmac_secret_key", secret)
    if "audience_regex" not in token:
        _fill(token, "audience", lambda: audience)
    client = _section(config, "client")
    origins = client.get("allowed_origins") or []
    if not isinstance(origins, list):
        raise _shape("client.allowed_origins", "a list of origins")
    client["allowed_origins"] = list(dict.fromkeys([*origins, *allowed_origins]))
    _fill(_section(config, "http_api"), "key", secret)
    # What the client falls back to where a proxy lets no WebSocket through.
    for transport in ("http_stream", "sse"):
        _section(config, transport).setdefault("enabled", True)
    _section(config, "usage_stats").setdefault("disabled", True)
    channel = _section(config, "channel")
    channel["without_namespace"] = _options(_section(config, "channel", "without_namespace"))
    namespaces = channel.setdefault("namespaces", [])
    for name in NAMESPACES:
        place = _find(namespaces, name)
        if place is None:
            namespaces.append({"name": name, **CHANNEL_OPTIONS})
        else:
            namespaces[place] = _options(namespaces[place])
    return config


def is_flat(config: Mapping[str, Any]) -> bool:
    """Tell whether ``config`` has the flat keys of Centrifugo 3 or 4, which v6 ignores."""
    return not _FLAT_MARKS.isdisjoint(config)


def read_config(path: Path) -> dict[str, Any] | None:
    """
    Return what the file holds, None where there is none.

    Raises InstantConfigError where it can't be read or is not a JSON object; the message
    never quotes the file, which holds secrets.
    """
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise InstantConfigError(
            f"{path} can't be read: {exc.strerror}. Run this as the user who owns the file."
        ) from exc
    except ValueError as exc:
        raise InstantConfigError(
            f"{path} is not JSON: {exc}. Correct it, or move it away to have a new one written "
            f"(with new keys)."
        ) from exc
    if not isinstance(value, dict):
        raise InstantConfigError(
            f"{path} does not hold a JSON object. Move it away to have a new one written."
        )
    return value


def write_config(path: Path, data: Mapping[str, Any]) -> bool:
    """
    Write ``data`` as JSON to ``path``; return False where the file says the same already.

    The file belongs to its owner alone (0600) from its first byte and is replaced whole, so
    that neither another user nor a starting server ever sees a part of it. A symbolic link
    stays one. The folder is made where it is missing and gets a ``.gitignore`` that keeps
    all of it out of the repository. Raises InstantConfigError where that can't be written.
    """
    path = Path(os.path.realpath(path))
    try:
        prepare_folder(path.parent)
        with contextlib.suppress(InstantConfigError):
            if read_config(path) == data:
                path.chmod(0o600)
                return False
        _replace(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as exc:
        raise InstantConfigError(
            f"{path} can't be written: {exc.strerror}. "
            f'Make the folder writable, or set INSTANT["DIR"] to one that is.'
        ) from exc
    return True


def prepare_folder(folder: Path) -> None:
    """Make the server's folder, closed to version control; raise OSError where it can't be."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), (folder / ".gitignore").open("x") as file:
        file.write("*\n")


def _replace(path: Path, content: bytes) -> None:
    # mkstemp opens with O_CREAT|O_EXCL and 0600, under a name that nobody can prepare.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _from_flat(config: dict[str, Any]) -> dict[str, Any]:
    # "admin" is a switch in v4 and an object in v6.
    old = {key: config[key] for key in _FLAT if key in config}
    if isinstance(old.get("admin"), Mapping):
        del old["admin"]
    rest = {key: value for key, value in config.items() if key not in {*old, *_SUPERFLUOUS}}
    strange = sorted(
        key
        for key, value in rest.items()
        if key not in _SCALARS
        and not isinstance(value, Mapping)
        and not (key in _LISTS and isinstance(value, list))
    )
    if strange:
        raise InstantConfigError(
            f"The config file is one of Centrifugo 3 or 4. Its keys, origins and admin password "
            f"can be carried over to version 6, but not: {', '.join(strange)}. Move the file away "
            f"and run “manage.py installws”, or rename these keys as "
            f"https://centrifugal.dev/docs/getting-started/migration_v6 says."
        )
    for key, value in old.items():
        *sections, last = _FLAT[key]
        _section(rest, *sections).setdefault(last, value)
    return rest


def _section(config: dict[str, Any], *path: str) -> dict[str, Any]:
    for depth, key in enumerate(path, start=1):
        found = config.setdefault(key, {})
        if not isinstance(found, dict):
            raise _shape(".".join(path[:depth]), "an object")
        config = found
    return config


def _shape(name: str, wanted: str) -> InstantConfigError:
    return InstantConfigError(f"{name} in the config file must be {wanted}. Correct it there.")


def _fill(section: dict[str, Any], key: str, make: Callable[[], str]) -> None:
    if not section.get(key):
        section[key] = make()


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**given, **{key: CHANNEL_OPTIONS[key] for key in CHANNEL_OPTIONS if key not in given}}
    if merged["history_size"] in {0, None} or merged["history_ttl"] in {"", "0", "0s", 0, None}:
        # Somebody switched history off. One half of it, or recovery without it, stops the server.
        for key in _HISTORY:
            if key not in given:
                del merged[key]
    return merged


def _find(namespaces: Any, name: str) -> int | None:
    if not isinstance(namespaces, list) or not all(isinstance(ns, dict) for ns in namespaces):
        raise _shape("channel.namespaces", "a list of objects")
    return next((i for i, ns in enumerate(namespaces) if ns.get("name") == name), None)
