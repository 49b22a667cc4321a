"""Read and write the server's config.json."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instant.exceptions import InstantConfigError

__all__ = ["open_to_others", "prepare_folder", "read_config", "write_config"]


def read_config(path: Path) -> dict[str, Any] | None:
    """
    Return the content of the file, or None if there is no file.

    Raises InstantConfigError if it can't be read or isn't a JSON object. The message never quotes
    the file, because it holds secrets.
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
            f"{path} is not JSON: {exc}. Correct it, or move it away to get a new file "
            f"with new keys."
        ) from exc
    if not isinstance(value, dict):
        raise InstantConfigError(
            f"{path} does not hold a JSON object. Move it away to get a new file with new keys."
        )
    return value


def write_config(path: Path, data: Mapping[str, Any]) -> bool:
    """
    Write ``data`` as JSON to ``path``; return False if the file already says the same.

    The file is created with mode 0600 and replaced atomically: no other user can ever read it, and
    a starting server never sees half of it. A symbolic link is followed. A missing folder is
    created, with a ``.gitignore`` that keeps it out of version control. Raises InstantConfigError
    if the file can't be written.
    """
    path = Path(os.path.realpath(path))
    try:
        with contextlib.suppress(InstantConfigError):
            if read_config(path) == data:
                with contextlib.suppress(OSError):  # a read-only folder is fine: nothing changes
                    path.chmod(0o600)
                    prepare_folder(path.parent)
                return False
        prepare_folder(path.parent)
        _replace(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as exc:
        raise InstantConfigError(
            f"{path} can't be written: {exc.strerror}. "
            f'Make the folder writable, or set INSTANT["DIR"] to one that is.'
        ) from exc
    return True


def prepare_folder(folder: Path) -> None:
    """
    Make the server's folder, closed to others and to version control.

    One that is there keeps its mode. Raises OSError where it can't be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    # Not 0666, whatever the umask: who can write into it can have the keys committed.
    with (
        contextlib.suppress(FileExistsError),
        os.fdopen(os.open(folder / ".gitignore", flags, 0o644), "w") as file,
    ):
        file.write("*\n")


def open_to_others(path: Path) -> list[str]:
    """
    Say which of the config and its folder other users of the machine may read or write.

    Nothing where neither is there, and on Windows, whose modes don't tell.
    """
    if os.name == "nt":
        return []
    found = []
    with contextlib.suppress(OSError):
        # Django and the server may share a group; whoever else can read has the keys.
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
            found.append(f"{path} can be read or written by other users")
    with contextlib.suppress(OSError):
        mode = path.parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            found.append(f"{path.parent} can be written by every user")
    return found


def _replace(path: Path, content: bytes) -> None:
    # mkstemp uses O_CREAT|O_EXCL, mode 0600 and a name that nobody can guess beforehand.
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
