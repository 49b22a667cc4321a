"""What an engine can't do for the site as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.db import connections

from instant.centrifugo.config.engine import Engine, hides_presence, keeping_history
from instant.centrifugo.config.file import read_config
from instant.conf import Conf
from instant.exceptions import InstantConfigError
from instant.inbound.tickets.channel import TicketChannel
from instant.namespaces import Namespace, registered
from instant.publishing.outbox import is_used

__all__ = ["engine"]


def engine(current: Conf) -> Iterator[CheckMessage]:
    """Yield what the engine of the settings keeps from working. No message has its address."""
    if current.backend == _BROKER_BACKEND:
        yield from _broker(current)
    if current.engine is None:
        yield from _file(current)
        return
    if current.engine.presence_is_per_node:
        yield from _presence(current, current.engine)
    if not current.engine.keeps_history:
        yield from _history(current)


def _presence(current: Conf, shared: Engine) -> Iterator[CheckMessage]:
    if current.enforces and not shared.nodes:
        yield Error(
            f"With {_TITLES[shared.kind]} each node knows only who is present on itself: whoever "
            f"is connected to another than the one that Django asks would not lose what they lose.",
            hint='Name each node\'s API, INSTANT["ENGINE"] = {"broker": "…", "nodes": '
            '["http://10.0.0.1:8427", …]}, or a Redis that knows it: {"broker": "…", "presence": '
            '"redis://…"}.',
            id="instant.E005",
        )
    shown = [cls.name for cls in _declared() if cls.allows("presence") == "subscribers"]
    if shown:
        yield Warning(
            f"With {_TITLES[shared.kind]} each node knows only who is present on itself, and so "
            f"pages see only those who are connected to their own: {', '.join(shown)}.",
            hint='Keep presence in Redis, {"broker": "…", "presence": "redis://…"}, or let Django '
            "decide who sees it, which asks all “nodes”.",
            id="instant.W030",
        )


def _file(current: Conf) -> Iterator[CheckMessage]:
    """Look at an engine that somebody has written into the file by hand."""
    if current.enforces and hides_presence(_config(current)):
        yield Warning(
            f"By {current.config_file} each node knows only who is present on itself: whoever is "
            f"connected to another than the one that Django asks would not lose what they lose.",
            hint="Name the engine in INSTANT['ENGINE'], with “nodes” or “presence”. With one node "
            'only, silence this: SILENCED_SYSTEM_CHECKS = ["instant.W031"].',
            id="instant.W031",
        )


def _config(current: Conf) -> Mapping[str, Any]:
    try:
        return read_config(current.config_file) or {}
    except InstantConfigError:  # told when it is needed, with the remedy
        return {}


def _history(current: Conf) -> Iterator[CheckMessage]:
    # Those of tickets are kept where that is possible: pages can ask for them.
    kept = [c.name for c in _declared() if c.delivery.size and c is not TicketChannel]
    if kept:
        yield Error(
            f"NATS keeps no messages, and these namespaces count on it: {', '.join(kept)}.",
            hint="Give them delivery = AtMostOnce(), or use Redis or PostgreSQL.",
            id="instant.E006",
        )
    declared = {f"the namespace “{name}”" for name in kept}
    theirs = [name for name in keeping_history(_config(current)) if name not in declared]
    if theirs:
        yield Error(
            f"NATS keeps no messages, and {current.config_file} has it keep some for "
            f"{' and '.join(theirs)}.",
            hint="Run “manage.py syncws”. What you wrote yourself (“history_size”, “history_ttl”, "
            "“force_recovery”) remove there.",
            id="instant.E006",
        )
    if current.outbox_immediate and is_used():
        yield Error(
            "NATS knows no idempotency keys: with INSTANT['OUTBOX_IMMEDIATE'] each message would "
            "arrive twice.",
            hint="Leave it out, or use Redis or PostgreSQL.",
            id="instant.E007",
        )


def _broker(current: Conf) -> Iterator[CheckMessage]:
    if current.engine is None or current.engine.kind != "postgres":
        yield Error(
            "PostgresBrokerBackend publishes to Centrifugo's PostgreSQL broker, and "
            "INSTANT['ENGINE'] names none.",
            hint='INSTANT["ENGINE"] = {"broker": "postgresql://…", …} names it; it is in the '
            "database that Django uses.",
            id="instant.E008",
        )
    if not any(connection.vendor == "postgresql" for connection in connections.all()):
        yield Error(
            "PostgresBrokerBackend publishes in Django's own transactions, and none of DATABASES "
            "is PostgreSQL.",
            hint="Use another BACKEND.",
            id="instant.E009",
        )


_BROKER_BACKEND = "instant.backends.postgres.PostgresBrokerBackend"

_TITLES: Mapping[str, str] = {"nats": "NATS", "postgres": "PostgreSQL as engine"}


def _declared() -> list[type[Namespace]]:
    """Return the namespaces that are declared correctly; instant.E003 names the others."""
    return [cls for cls in registered() if not list(cls.problems())]
