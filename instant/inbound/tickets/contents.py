"""
What a job tells and how it ends, as the row keeps it: JSON and texts that any database takes.

All of it is published together, and a publication has a limit (``publishing.payload``).
"""

from __future__ import annotations

import json
from typing import Any

from instant.inbound.encoder import AnswerEncoder

__all__ = ["MAX_ERROR", "MAX_PROGRESS", "MAX_RESULT", "encoded", "error", "progress", "storable"]

MAX_RESULT = 900_000
"""Bytes."""

MAX_PROGRESS = 32_000
"""Bytes of progress and its message together; it is sent several times a second."""

MAX_ERROR = 1000
"""Characters of a refusal's message."""


def encoded(answer: Any) -> str:
    """Return a result. Raises ValueError for one that is too large or no JSON."""
    text = _json(answer, separators=(",", ":"))
    if len(text.encode()) > MAX_RESULT:
        raise ValueError(
            f"The result has more than {MAX_RESULT:,} bytes. Store it, and return where it is."
        )
    return text


def progress(done: Any, message: str) -> dict[str, str]:
    """Return how far a job is. Raises ValueError for what is too large or no JSON."""
    found = {"progress": "" if done is None else _json(done), "message": storable(message)}
    if sum(len(text.encode()) for text in found.values()) > MAX_PROGRESS:
        raise ValueError(f"Progress and its message have at most {MAX_PROGRESS:,} bytes.")
    return found


def error(message: object) -> str:
    """Return what a refusal says, of a long one the beginning."""
    text = storable(message)
    return text if len(text) <= MAX_ERROR else f"{text[: MAX_ERROR - 1]}…"


def storable(text: object) -> str:
    """Return a text without what some databases refuse: NUL, and half a surrogate pair."""
    return str(text).replace("\0", "").encode(errors="replace").decode()


def _json(value: Any, **options: Any) -> str:
    # No NUL is in it, which JSON escapes.
    text = json.dumps(value, cls=AnswerEncoder, ensure_ascii=False, allow_nan=False, **options)
    return storable(text)
