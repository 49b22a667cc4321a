"""Publications go to Centrifugo's HTTP API, at once. The default."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from instant import conf
from instant.backends.base import BaseBackend
from instant.centrifugo.api.client import Client
from instant.publishing.publication import Envelope

__all__ = ["CentrifugoBackend"]


class CentrifugoBackend(BaseBackend):
    """Posts to the server that the settings name, within ``INSTANT["TIMEOUT"]`` seconds."""

    reaches_server = True

    def __init__(self) -> None:
        self._client: tuple[conf.Conf, Client] | None = None
        self._lock = threading.Lock()

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """See BaseBackend.send()."""
        settings = conf.current()
        self._client_for(settings).publish(envelopes, settings.timeout)

    async def asend(self, envelopes: Sequence[Envelope]) -> None:
        """See BaseBackend.asend()."""
        settings = conf.current()
        await self._client_for(settings).apublish(envelopes, settings.timeout)

    def client(self) -> Client:
        """See BaseBackend.client(); raises InstantConfigError where no key is known."""
        return self._client_for(conf.current())

    def _client_for(self, settings: conf.Conf) -> Client:
        """Return the client for these settings; another address or key makes another client."""
        known = self._client
        if known is not None and known[0] is settings:
            return known[1]
        with self._lock:
            known = self._client
            if known is None or known[0] is not settings:
                client = Client(settings.api_url, settings.api_key)
                self._client = (settings, client)
                if known is not None:
                    known[1].close()
                return client
            return known[1]

    def close(self) -> None:
        """Close idle connections."""
        if self._client is not None:
            self._client[1].close()
            self._client = None
