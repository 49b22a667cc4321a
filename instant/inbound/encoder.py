"""What handlers return, as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

__all__ = ["AnswerEncoder"]


class AnswerEncoder(DjangoJSONEncoder):
    """Django's, which ``publish()`` uses, for dataclasses and pydantic models too."""

    def default(self, o: Any) -> Any:
        """Return what can be encoded of an object that is no JSON."""
        if dataclasses.is_dataclass(o) and not isinstance(o, type):
            return {field.name: getattr(o, field.name) for field in dataclasses.fields(o)}
        if hasattr(type(o), "model_dump"):
            return o.model_dump()
        return super().default(o)
