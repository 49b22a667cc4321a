"""The server's config.json on the disk: read, and replaced whole."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instant.exceptions import InstantConfigError

__all__ = ["prepare_folder", "read_config", "write_config"]


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
