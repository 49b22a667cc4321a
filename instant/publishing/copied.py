"""How a copy for those who listen to patterns begins: whoever erases one finds it by that."""

from __future__ import annotations

import json
from collections.abc import Sequence

__all__ = ["head"]


def head(names: Sequence[str], tenant: str) -> str:
    """Return the JSON that stands before the payload of a copy of what goes to these channels."""
    said = json.dumps({"channels": list(names), "tenant": tenant}, separators=(",", ":"))
    return f'{said[:-1]},"payload":'
