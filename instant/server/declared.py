"""What the apps declare, as the server's config needs it."""

from __future__ import annotations

from instant.centrifugo.config.namespaces import NamespaceOptions
from instant.namespaces import Namespace, registered

__all__ = ["declared"]


def declared(*, rows_ask: bool = False) -> list[NamespaceOptions]:
    """
    Return all namespaces without a fault in their declaration; instant.E003 names the rest.

    ``rows_ask``: whether the server can ask who may publish to rows in them.
    """
    return [_plain(cls, rows_ask=rows_ask) for cls in registered() if not list(cls.problems())]


def _plain(cls: type[Namespace], *, rows_ask: bool) -> NamespaceOptions:
    return NamespaceOptions(
        name=cls.name,
        size=cls.delivery.size,
        seconds=int(cls.delivery.ttl.total_seconds()),
        latest=cls.delivery.latest,
        # Whether clients may see it or not: live enforcement finds there who has to go.
        presence=cls.authorize != "open" or cls.presence,
        presence_for_subscribers=cls.allows("presence") == "subscribers",
        join_leave=cls.join_leave,
        history_for_subscribers=cls.allows("history") == "subscribers",
        open=cls.authorize == "open",
        subscribers_publish=cls.client_publish == "subscribers",
        asks_to_subscribe=cls.authorize == "proxy",
        asks_to_publish=cls.client_publish == "ask" or (cls.rows and rows_ask),
    )
