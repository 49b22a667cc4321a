"""Who tells people that have no page open: the command, runws, and a web process with a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from instant import conf
from instant.exceptions import InstantConfigError
from instant.revoking.looker import Looker, Work
from instant.stored.notifications.reminding import Reminder
from instant.stored.push.queue import CHANNEL, NAME
from instant.stored.push.relay import PushRelay
from instant.stored.rows import database

__all__ = ["Notifier", "is_used", "new_looker", "start_with_server", "watch"]

logger = logging.getLogger("instant.push")

_EVERY = 5.0
"""Seconds between two looks at most, where nobody tells."""


def is_used() -> bool:
    """Tell whether anybody is to be told, by a push or by mail."""
    current = conf.current()
    return current.push is not None or current.reminders is not None


class Notifier:
    """Pushes, and reminds."""

    def __init__(self) -> None:
        self.push, self.reminder = PushRelay(), Reminder()

    def look(self) -> float | None:
        """Do what is due; return the seconds until there is more."""
        waits = [self.push.look(), self.reminder.look()]
        return min((wait for wait in waits if wait is not None), default=None)

    def call(self, tenants: Iterable[str]) -> None:
        """Look into these tenants at the next look: something waits to be pushed."""
        self.push.call(tenants)

    def drain(self) -> None:
        """Do all that is due now."""
        self.push.drain()
        self.reminder.drain()


def new_looker(notifier: Notifier, *, is_shared: bool = False) -> Looker:
    """
    Return what calls a notifier whenever there is something to do, until it is stopped.

    One of a host works at a time, unless it ``is_shared``: what one has claimed no other takes.
    """
    work = Work(
        name=NAME,
        channel=CHANNEL,
        every=_EVERY,
        is_shared=is_shared,
        logger=logger,
        problem="Nobody is notified who has no page open: %s",
    )
    return Looker(notifier.look, lambda: True, database, notifier.call, work)


def watch() -> Looker | None:
    """Start it in a thread, until it is stopped, where the settings ask for it; for ``runws``."""
    if not is_used():
        return None
    looker = new_looker(Notifier())
    looker.start(always=True)
    return looker


def start_with_server() -> None:
    """
    Do the same in a web process that keeps the message server running, and in its forks.

    One of a host does so at a time. Called when the apps are ready; never raises.
    """
    try:
        if conf.current().autostart and is_used():
            watch()
            if hasattr(os, "register_at_fork"):  # a server that loads the site before it forks
                os.register_at_fork(after_in_child=watch)
    except InstantConfigError:  # a check tells
        return
    except Exception:
        logger.exception("Nobody is notified who has no page open.")
