"""
Helpers for the tests of projects that use Instant.

``capture_publications()`` works everywhere; ``InstantTestMixin`` brings it to every test of a
TestCase. ``assert_permissions()`` holds rights as a table, ``assert_state()`` the state that a
page begins with, ``assert_stream()`` what was streamed. ``call_rpc()`` and ``publish_as()`` do what
a page does with handlers, and ``run_jobs()`` runs the jobs of queued calls; within
``answered_here()`` requests are answered by whoever asks, within ``answering()`` by the test.
``stored_messages()`` holds what was stored, and who has acknowledged it.
``instant_server()`` runs a real server for pages that are tested end to end, and
``wait_until_live()`` waits until their fragments hear what changes. The
pytest plugin (loaded by itself) offers the fixtures ``publications`` and ``instant_server``. Test
runs reach no server but those that a test asks for, whoever runs them: ``locmem`` is their backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from django.conf import settings
from django.db import connections
from django.test import override_settings

from instant import conf
from instant.backends import BaseBackend, replaced
from instant.backends.locmem import LocmemBackend
from instant.backends.outbox import OutboxBackend
from instant.broadcasting.sending import committed, expected
from instant.inbound.tickets.still import run_jobs
from instant.inbound.trying import acall_rpc, apublish_as, call_rpc, publish_as
from instant.pages.asserting import assert_state
from instant.pages.waiting import wait_until_live
from instant.publishing.after_commit import hand_over
from instant.publishing.commit_hook import CommitHook
from instant.publishing.outbox import waiting
from instant.publishing.outbox.relay import Relay
from instant.publishing.publication import Envelope, Publication
from instant.rights.asserting import assert_permissions
from instant.stored.answering import AnsweredRequest, AnsweredRequests, answering
from instant.stored.asserting import StoredMessages, stored_messages
from instant.stored.expectations import ANY, first_of, given, listing
from instant.stored.waiting import answered_here
from instant.streaming.asserting import assert_stream

__all__ = [
    "AnsweredRequest",
    "AnsweredRequests",
    "CapturedPublications",
    "InstantServer",
    "InstantTestMixin",
    "OutboxPublications",
    "StoredMessages",
    "acall_rpc",
    "answered_here",
    "answering",
    "apublish_as",
    "assert_permissions",
    "assert_state",
    "assert_stream",
    "call_rpc",
    "capture_publications",
    "instant_server",
    "outbox",
    "publish_as",
    "run_jobs",
    "stored_messages",
    "wait_until_live",
]


class _CapturingBackend(LocmemBackend):
    """Keeps what is sent; a capture around this one sees it too."""

    outer: BaseBackend | None = None

    def send(self, envelopes: Sequence[Envelope]) -> None:
        super().send(envelopes)
        if self.outer is not None:
            self.outer.send(envelopes)


class CapturedPublications(Sequence[Publication]):
    """What was published, oldest first, and what would be after the commit."""

    def __init__(self, backend: LocmemBackend) -> None:
        self._backend = backend
        # Held, so that none of them is mistaken for a new one that got the same id().
        self._before = list(_deferred())
        self._after: list[Publication] | None = None
        self._told: tuple[list[CommitHook], Sequence[Publication]] = ([], ())

    @property
    def publications(self) -> list[Publication]:
        """All of them: those that were sent, then those that wait for a commit."""
        waiting = self._waiting() if self._after is None else self._after
        return [*self._backend.outbox, *waiting]

    def _waiting(self) -> list[Publication]:
        before = {id(deferred) for deferred in self._before}
        hooks = [deferred for deferred in _deferred() if id(deferred) not in before]
        told = [hook for hook in hooks if hook.deliver is committed]
        if told != self._told[0]:  # once, so that each is the same whenever it is looked at
            changes = [change for hook in told for change in hook.items]
            self._told = told, expected(changes)
        waiting = [
            publication
            for hook in hooks
            if hook.deliver is hand_over
            for envelope in hook.items
            for publication in envelope.publications
        ]
        return [*waiting, *self._told[1]]

    def _freeze(self) -> None:
        self._after = self._waiting()

    def assert_published(
        self,
        channel: str,
        message: Any = ANY,
        *,
        data: Any = ANY,
        event_class: Any = ANY,
        bucket: Any = ANY,
        site: Any = ANY,
        count: int | None = None,
    ) -> Publication:
        """
        Assert that it was published to the channel, and return the first that matches.

        Only what is given is compared; ``count`` asks for exactly so many. To say that
        something is absent, give None (``bucket=""`` for a bucket).
        """
        wanted = given(
            message=message, data=data, event_class=event_class, bucket=bucket, site=site
        )
        found = [
            publication
            for publication in self.publications
            if publication.channel == channel
            and all(
                value == publication.payload.get(key, "" if key == "bucket" else None)
                for key, value in wanted.items()
            )
        ]
        return first_of(found, count, f"published: {channel!r} with {wanted}", self._listing())

    def assert_nothing_published(self, channel: str | None = None) -> None:
        """Assert that nothing was published, or nothing to one channel."""
        found = [p for p in self.publications if channel in (None, p.channel)]
        if found:
            raise AssertionError(f"{len(found)} publications too many.\n{self._listing()}")

    def _listing(self) -> str:
        lines = (f"{p.channel} {dict(p.payload)!r} ({p.state})" for p in self.publications)
        return listing("Published was:", lines)

    @overload
    def __getitem__(self, index: int) -> Publication: ...
    @overload
    def __getitem__(self, index: slice) -> list[Publication]: ...
    def __getitem__(self, index: int | slice) -> Publication | list[Publication]:
        return self.publications[index]

    def __len__(self) -> int:
        return len(self.publications)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.publications!r}>"


_DELIVER = (hand_over, committed)
"""What is done after the commit with publications, and with what becomes of models."""


def _deferred() -> Iterator[CommitHook]:
    """Yield what waits for the commits of this thread's connections, in order."""
    for connection in connections.all(initialized_only=True):
        for entry in connection.run_on_commit:  # savepoints, hook, robust
            hook = entry[1]
            if isinstance(hook, CommitHook) and hook.deliver in _DELIVER and not hook.done:
                yield hook


@contextmanager
def capture_publications() -> Iterator[CapturedPublications]:
    """
    Capture what is published in the block instead of sending it.

    Includes what waits for a commit, also in a TestCase, where no commit ever comes, and
    never what was rolled back. Publications of other threads are captured once they are sent.
    """
    backend = _CapturingBackend()
    captured = CapturedPublications(backend)
    with replaced(backend) as backend.outer:
        try:
            yield captured
        finally:
            captured._freeze()  # noqa: SLF001  one class in two pieces


class OutboxPublications(CapturedPublications):
    """What waits in the outbox, oldest first."""

    @property
    def publications(self) -> list[Publication]:
        """All rows, whoever wrote them."""
        return waiting.publications()

    def relay(self) -> list[Publication]:
        """
        Send what waits: within ``instant_server()`` to that server, else nowhere; return it.

        Raises a PublishError.
        """
        found = self.publications
        if conf.current().backend.endswith(".CentrifugoBackend"):
            Relay(is_told=True, aliases=waiting.opened).drain()
        else:
            waiting.delete()
        return found


@contextmanager
def outbox() -> Iterator[OutboxPublications]:
    """Let publications be rows of the outbox in the block, which nobody sends but the test."""
    backend = OutboxBackend()
    with replaced(backend):
        yield OutboxPublications(LocmemBackend())
    backend.close()


@dataclass(frozen=True, slots=True)
class InstantServer:
    """Where the server of ``instant_server()`` listens."""

    url: str
    """For browsers and clients: ``ws://127.0.0.1:<port>/connection/websocket``."""
    port: int


@contextmanager
def instant_server(
    config: Mapping[str, Any] | None = None, *, port: int = 0
) -> Iterator[InstantServer]:
    """
    Run the embedded server on a free port of 127.0.0.1, and let Django use it in the block.

    It has fresh keys, its own history and subscribers, and the namespaces of a new project;
    ``config`` (as in config.json) is completed with them. In the block publish() goes there,
    and ``get_token/`` hands its address to pages: of the test client, of LiveServerTestCase
    and of any page on this machine. In a TestCase publications wait for a commit that never
    comes: use TransactionTestCase, or ``on_commit=False``.
    """
    from instant.centrifugo.config.defaults import compile_config  # noqa: PLC0415  aiohttp takes 0.2 s
    from instant.centrifugo.config.values import values_of  # noqa: PLC0415
    from instant.embedded.threaded import ThreadedServer  # noqa: PLC0415

    current = conf.current()
    compiled = compile_config(
        config,
        allowed_origins=_TEST_ORIGINS,
        audience=current.audience,
        tenants=current.tenant is not None,
    )
    keys = values_of(compiled)
    with (
        ThreadedServer(compiled, port=port) as server,
        override_settings(
            CENTRIFUGO_HOST="http://127.0.0.1",
            CENTRIFUGO_PORT=server.port,
            CENTRIFUGO_HMAC_KEY=keys.hmac_key,
            CENTRIFUGO_API_KEY=keys.api_key,
            INSTANT={
                **(getattr(settings, "INSTANT", None) or {}),
                "BACKEND": "instant.backends.centrifugo.CentrifugoBackend",
                # A thread of its own would meet the test's database.
                "ENFORCE_IN_BACKGROUND": False,
                "PUBLIC_URL": (url := f"ws://127.0.0.1:{server.port}/connection/websocket"),
            },
        ),
    ):
        yield InstantServer(url, server.port)


_TEST_ORIGINS = ("http://testserver", "http://localhost:*", "http://127.0.0.1:*")

if TYPE_CHECKING:  # what it is mixed into
    from unittest import TestCase as _TestCase
else:
    _TestCase = object


class InstantTestMixin(_TestCase):
    """For a TestCase: ``self.publications`` holds what a test publishes; nothing is sent."""

    publications: CapturedPublications

    def setUp(self) -> None:
        """Start to capture."""
        super().setUp()
        self.publications = self.enterContext(capture_publications())
