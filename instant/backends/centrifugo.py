"""Publications go to Centrifugo's HTTP API, at once. The default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from instant import conf
from instant.backends.base import BaseBackend
from instant.centrifugo.api.breaker import Breaker
from instant.centrifugo.api.client import Client
from instant.publishing.loss_marks import LossMarks
from instant.publishing.publication import Envelope
from instant.signals import server_lost, server_returned

__all__ = ["CentrifugoBackend"]


class CentrifugoBackend(BaseBackend):
    """Posts to the server that the settings name, within ``INSTANT["TIMEOUT"]`` seconds."""

    reaches_server = True

    def __init__(self) -> None:
        self._client: tuple[conf.Conf, Client] | None = None
        self._loss_marks = LossMarks(self.send)

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
        engine = settings.engine
        # Two threads may make one each; a lock might be held when another thread forks.
        client = Client(
            settings.api_url,
            settings.api_key,
            _breaker(settings),
            engine.nodes if engine is not None and engine.presence_is_per_node else (),
        )
        known, self._client = self._client, (settings, client)
        if known is not None:
            known[1].close()
        return client

    @property
    def breaker(self) -> Breaker | None:
        """Tells whether the server is asked (``is_open``), in this process; None before that."""
        return None if self._client is None else self._client[1].breaker

    def tell_lost(self, channels: Iterable[str]) -> None:
        """Have the pages of these channels told, as soon as the server can be reached."""
        self._loss_marks.add(channels)

    def close(self) -> None:
        """Close idle connections, and forget whom to tell of losses."""
        self._loss_marks.close()
        known, self._client = self._client, None
        if known is not None:
            known[1].close()


def _breaker(settings: conf.Conf) -> Breaker:
    """Return a breaker that signals when the server is lost, and when it returns."""
    tell = {"sender": CentrifugoBackend, "url": settings.api_url}
    return Breaker(
        settings.api_url,
        settings.breaker,
        lost=lambda error: server_lost.send_robust(**tell, error=error),
        returned=lambda count: server_returned.send_robust(**tell, not_asked=count),
    )
