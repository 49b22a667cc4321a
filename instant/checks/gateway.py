"""A gateway to nothing."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Warning  # noqa: A004

from instant import conf
from instant.inbound import registry

__all__ = ["gateway"]


def gateway(current: conf.Conf) -> Iterator[CheckMessage]:
    """Yield what keeps the gateway from answering anybody."""
    if current.gateway and not registry.handlers("rpc"):
        yield Warning(
            'INSTANT["GATEWAY"] is True, and no app has a handler: every call is a 404.',
            hint="Declare one with @on_rpc in an app's realtime.py.",
            id="instant.W022",
        )
