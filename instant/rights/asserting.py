"""Who may do what, asserted by a project's tests; public as ``instant.testing``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync

from instant import permissions
from instant.rights.namespace_rules import AsyncRuleError

__all__ = ["assert_permissions"]


def assert_permissions(channel: str, **actions: Mapping[Any, bool]) -> None:
    """
    Assert who may do what on a channel: tables of users (None is anonymous) and answers.

    The actions are ``subscribe``, ``publish``, ``presence``, ``history`` and ``status``; rules
    may be async. All that is wrong is told at once::

        assert_permissions(
            "order:42",
            subscribe={owner: True, other: False, None: False},
            publish={owner: False},
        )
    """
    if not actions:
        raise TypeError("Say what to assert, for example subscribe={user: True}.")
    wrong = [
        f"  {'anonymous' if user is None else repr(user)} may{'' if found else ' not'} {action}"
        for action, table in actions.items()
        for user, wanted in table.items()
        if (found := _may(user, action, channel)) is not wanted
    ]
    if wrong:
        raise AssertionError("\n".join([f"On {channel!r}:", *wrong]))


def _may(user: Any, action: Any, channel: str) -> bool:
    try:
        return permissions.may(user, action, channel)
    except AsyncRuleError:
        return async_to_sync(permissions.amay)(user, action, channel)
