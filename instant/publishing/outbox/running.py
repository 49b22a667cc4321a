"""Who runs a relay: the command, runws, and a web process that starts the message server."""

from __future__ import annotations

import logging
import os
from functools import partial

from django.db import connections, router

from instant import conf
from instant.centrifugo.binary.process import find_binary
from instant.centrifugo.config.consumers import NOTIFY_CHANNEL
from instant.exceptions import InstantConfigError
from instant.models import OutboxRow
from instant.publishing.outbox import consumer, drained_by, is_used
from instant.publishing.outbox.known_namespaces import AGAIN, NamespaceWatch, database
from instant.publishing.outbox.relay import Relay, places
from instant.publishing.outbox.store import LOCKING
from instant.publishing.outbox.wake import NAME
from instant.revoking.looker import Looker, Work

__all__ = ["namespace_looker", "new_looker", "start_with_server", "watch"]

logger = logging.getLogger("instant.outbox")

_EVERY = {"sqlite": 2.0, "postgresql": 1.0}
_OFTEN = 0.5
"""Seconds between two looks at most: for rows of which nobody tells this host."""


def new_looker(relay: Relay, *, is_shared: bool = False) -> Looker:
    """
    Return what calls a relay whenever there is something to send, until it is stopped.

    One of a host works at a time, unless it ``is_shared`` and the databases lock partitions.
    """
    # A tenant's routers may say less of what there is while none is active.
    vendors = {connections[alias].vendor for alias in places()}
    work = Work(
        name=NAME,
        channel=NOTIFY_CHANNEL,
        every=min((_EVERY.get(vendor, _OFTEN) for vendor in vendors), default=_OFTEN),
        is_shared=is_shared and vendors <= LOCKING,
        logger=logger,
        problem="The outbox can't be read: %s",
    )
    return Looker(relay.look, lambda: True, _listened_to, relay.call, work)


def namespace_looker() -> Looker:
    """Return what notes for Centrifugo's consumer which namespaces the server knows."""
    work = Work(
        name=f"{NAME}-namespaces",
        channel=f"{NOTIFY_CHANNEL}_namespaces",  # nobody tells: each new row would
        every=AGAIN,
        logger=logger,
        problem="Nobody notes which namespaces the server knows: %s",
    )
    return Looker(NamespaceWatch().look, lambda: True, lambda: database().alias, work=work)


def _listened_to() -> str:
    """Return the database that tells of new rows: the first that can, best that of most rows."""
    used = router.db_for_write(OutboxRow)
    aliases = sorted(places(), key=lambda alias: alias != used)
    return next((a for a in aliases if connections[a].vendor == "postgresql"), used)


def watch(*, is_embedded: bool) -> Looker | None:
    """
    Start what the outbox needs beside its server, until it is stopped; for ``runws``.

    The embedded server has no consumer, whatever the settings say.
    """
    if not is_used() or not list(places()):
        return None
    if is_embedded or drained_by() is None:
        looker = new_looker(Relay())
    elif consumer() is not None:
        looker = namespace_looker()
    else:
        return None
    looker.start(always=True, with_server=True)
    return looker


def start_with_server() -> None:
    """
    Do the same in a web process that keeps the message server running, and in its forks.

    One of a host does so at a time. Called when the apps are ready; never raises.
    """
    try:
        settings = conf.current()
        if settings.autostart and is_used():
            start = partial(watch, is_embedded=find_binary(settings.dir) is None)
            start()
            if hasattr(os, "register_at_fork"):  # a server that loads the site before it forks
                os.register_at_fork(after_in_child=start)
    except InstantConfigError:  # a check tells
        return
    except Exception:
        logger.exception("The outbox's rows are not sent by the web server.")
