"""Whoever has to know that a user is deleted: as what the site's user model may be deleted."""

from __future__ import annotations

from collections.abc import Callable

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models.signals import ModelSignal

__all__ = ["listen"]


def listen(signal: ModelSignal, receiver: Callable[..., None], uid: str) -> None:
    """Have a function called with each user; when the apps are ready, any number of times."""
    user = get_user_model()
    for model in apps.get_models():
        if issubclass(model, user):  # its proxies and children send signals of their own
            signal.connect(receiver, sender=model, dispatch_uid=uid)
