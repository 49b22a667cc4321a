"""Notifications that would reach nobody who has no page open."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.utils.module_loading import import_string

from instant.conf import Conf
from instant.stored.push import vapid

__all__ = ["notifications"]


def notifications(current: Conf) -> Iterator[CheckMessage]:
    """Yield what keeps notifications from being pushed, and reminders from being sent."""
    if current.push is not None and not vapid.is_installed():
        yield Error(
            'INSTANT["PUSH"] is set, and what encrypts pushes isn\'t installed.',
            hint="pip install 'django-instant[push]'",
            id="instant.E015",
        )
    reminders = current.reminders
    if reminders is None:
        return
    paths = {
        "SEND": reminders.send,
        "WANTED": reminders.wanted,
        "LANGUAGE": reminders.language,
        "UNSUBSCRIBE": reminders.unsubscribe,
    }
    for key, path in paths.items():
        if path is None:
            continue
        try:
            is_function = callable(import_string(path))
        except ImportError as exc:
            yield Error(f'INSTANT["REMINDERS"]["{key}"]: {exc}', id="instant.E015")
            continue
        if not is_function:
            yield Error(
                f'INSTANT["REMINDERS"]["{key}"] names {path}, which is no function.',
                id="instant.E015",
            )
    if reminders.send is None and reminders.url is None:
        yield Warning(
            "E-mails about unread notifications have no links to what these lead to.",
            hint='Say the site\'s address: INSTANT["REMINDERS"] = {"URL": "https://example.com"}.',
            id="instant.W032",
        )
