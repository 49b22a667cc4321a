"""The contract of a backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from asgiref.sync import sync_to_async
from django.db.backends.base.base import BaseDatabaseWrapper

from instant.publishing.publication import Envelope

if TYPE_CHECKING:
    from instant.centrifugo.api.client import Client

__all__ = ["BaseBackend"]


class BaseBackend(ABC):
    """
    Takes envelopes that are due and delivers them.

    Subclasses write ``send()``; ``asend()`` works from it through a thread unless they have
    something better. One instance serves all threads and event loops of a process.
    """

    reaches_server: ClassVar[bool] = False
    """Whether client() has one: asked before a right ends, where no error may come of it."""

    transactional: ClassVar[bool] = False
    """Whether in_transaction() takes envelopes; else they wait for the commit in this process."""

    is_relayed: ClassVar[bool] = False
    """Whether it writes rows of the outbox, which somebody else sends."""

    @abstractmethod
    def send(self, envelopes: Sequence[Envelope]) -> None:
        """
        Deliver the envelopes in order.

        Sets the state of each publication, and offset and epoch where it learns them. Raises
        a PublishError, after it has marked what failed; a BatchError where only some did.
        """

    async def asend(self, envelopes: Sequence[Envelope]) -> None:
        """See send()."""
        await sync_to_async(self.send, thread_sensitive=False)(envelopes)

    def in_transaction(
        self, envelopes: Sequence[Envelope], connection: BaseDatabaseWrapper
    ) -> None:
        """
        Take envelopes into the transaction that is open on the connection; for ``transactional``.

        Called by publish(), and for all of a batch at its end. What is written here is undone by
        a rollback, savepoints included; whoever sends it does so after the commit. Where a
        backend isn't transactional, send() gets them after the commit.
        """
        raise NotImplementedError

    def client(self) -> Client | None:
        """
        Return the client of the server's API, None where nothing reaches a server.

        Rights are enforced on live connections only where there is one.
        """
        return None

    def tell_lost(self, channels: Iterable[str]) -> None:  # noqa: B027  most have nobody to tell
        """
        Note that a message to each channel was lost after a commit, since the server was away.

        The names are those that the server knows.
        """

    def close(self) -> None:  # noqa: B027  most have nothing to close
        """Let go of what the backend holds, when the settings name another."""
