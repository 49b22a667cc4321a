"""Which classes send a model's signals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps

__all__ = ["senders"]


def senders(model: Any) -> Iterator[Any]:
    """
    Yield the model with its proxies and children: an instance's own class sends its signals.

    Not all models are listened to instead, since Django then could delete none of them fast.
    """
    yield model
    for other in apps.get_models():
        if other is not model and issubclass(other, model):
            yield other
