"""What the apps declare, as the server's config needs it."""

from __future__ import annotations

from instant.centrifugo.channels import Declared
from instant.namespaces import Namespace, registered

__all__ = ["declared"]


def declared() -> list[Declared]:
    """Return all namespaces without a fault in their declaration; instant.E003 names the rest."""
    return [_plain(cls) for cls in registered() if not list(cls.problems())]


def _plain(cls: type[Namespace]) -> Declared:
    return Declared(
        name=cls.name,
        size=cls.delivery.size,
        seconds=int(cls.delivery.ttl.total_seconds()),
        latest=cls.delivery.latest,
        presence=cls.presence,
        join_leave=cls.join_leave,
        open=cls.authorize == "open",
        subscribers_publish=cls.client_publish == "subscribers",
    )
