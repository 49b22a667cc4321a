"""Sending where nothing may be raised: what was to be told is logged and signalled."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from instant.backends import get_backend
from instant.exceptions import InstantConfigError, PublishError, ServerNotAsked
from instant.publishing.publication import Envelope
from instant.signals import publication_failed

__all__ = ["adeliver_quietly", "deliver_quietly"]

logger = logging.getLogger("instant.producers")


def deliver_quietly(envelopes: Sequence[Envelope]) -> None:
    """Send after a commit: a failure is logged and signalled, and never raised."""
    with _quietly(envelopes):
        get_backend().send(envelopes)


async def adeliver_quietly(envelopes: Sequence[Envelope]) -> None:
    """See deliver_quietly()."""
    with _quietly(envelopes):
        await get_backend().asend(envelopes)


@contextmanager
def _quietly(envelopes: Sequence[Envelope]) -> Iterator[None]:
    try:
        yield
    except PublishError as exc:
        if not isinstance(exc, ServerNotAsked):  # told once, when the server was lost
            logger.error("After the commit: %s", exc)  # noqa: TRY400  the message says it all
        _signal_failure(envelopes, exc)
    except Exception as exc:
        if isinstance(exc, InstantConfigError):  # as before the first start of a server
            logger.error("After the commit: nothing was sent. %s", exc)  # noqa: TRY400  likewise
        else:
            logger.exception("After the commit: nothing was sent.")
        error = PublishError(f"Nothing was sent: {type(exc).__name__}: {exc}")
        error.__cause__ = exc
        _signal_failure(envelopes, error)
    except BaseException:  # a worker that is told to stop, a task that is cancelled
        for envelope in envelopes:
            envelope.give_up()
        raise


def _signal_failure(envelopes: Sequence[Envelope], error: PublishError) -> None:
    for envelope in envelopes:
        envelope.give_up()
    if error.is_temporary:
        _tell_lost(envelopes)
    sender = _sender()
    if publication_failed.has_listeners(sender):  # a publication is made when somebody looks
        failed = [p for envelope in envelopes for p in envelope.publications if p.state == "failed"]
        publication_failed.send_robust(sender=sender, publications=failed, error=error)


def _tell_lost(envelopes: Sequence[Envelope]) -> None:
    """Have the pages told, as soon as it is possible, that there was something."""
    try:
        get_backend().tell_lost(
            channel
            for envelope in envelopes
            for channel, publication in zip(envelope.channels, envelope.publications, strict=True)
            if publication.state == "failed"
        )
    except Exception:
        logger.exception("After the commit: pages are not told what they missed.")


def _sender() -> type:
    try:
        return type(get_backend())
    except Exception:  # noqa: BLE001  that is why it failed, and was told
        return type(None)
