"""Who runs a relay: the command, runws, and a web process that starts the message server."""

from __future__ import annotations

import logging
import os

from django.db import connections

from instant import conf
from instant.exceptions import InstantConfigError
from instant.publishing.outbox import is_relayed
from instant.publishing.outbox.relay import Relay, databases
from instant.publishing.outbox.store import LOCKING
from instant.publishing.outbox.wake import CHANNEL, NAME
from instant.revoking.looker import Looker, Work

__all__ = ["new_looker", "start_with_server", "watch"]

logger = logging.getLogger("instant.outbox")

_EVERY = 0.5
"""Seconds between two looks at most, for rows of which nobody tells this host."""


def new_looker(relay: Relay, *, is_shared: bool = False) -> Looker:
    """
    Return what calls a relay whenever there is something to send, until it is stopped.

    One of a host works at a time, unless it ``is_shared`` and the databases lock partitions.
    """
    work = Work(
        name=NAME,
        channel=CHANNEL,
        every=_EVERY,
        is_shared=is_shared and all(connections[a].vendor in LOCKING for a in databases()),
        logger=logger,
        problem="The outbox can't be read: %s",
    )
    return Looker(relay.look, lambda: True, _listened_to, relay.call, work)


def _listened_to() -> str:
    """Return the database that tells of new rows: the first that can."""
    aliases = list(databases())
    return next((a for a in aliases if connections[a].vendor == "postgresql"), aliases[0])


def watch() -> Looker | None:
    """Start one that works until it is stopped, where one is needed; for ``runws``."""
    if not is_relayed() or next(databases(), None) is None:
        return None
    looker = new_looker(Relay())
    looker.start(always=True)
    return looker


def start_with_server() -> None:
    """
    Relay in a web process that keeps the message server running, and in its forks.

    One of a host does so at a time. Called when the apps are ready; never raises.
    """
    try:
        if conf.current().autostart and is_relayed():
            watch()
            if hasattr(os, "register_at_fork"):  # a server that loads the site before it forks
                os.register_at_fork(after_in_child=watch)
    except InstantConfigError:  # a check tells
        return
    except Exception:
        logger.exception("The outbox's rows are not sent by the web server.")
