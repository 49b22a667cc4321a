"""
The relay: pushes what waits to people who have no page open.

Only the notification's id leaves the site, encrypted for the browser; its service worker asks
Django for the rest in the user's session. So no push service, and nobody who has taken a browser
over, learns what it says, and what was read meanwhile is not shown.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from instant import conf
from instant.channels.names import user_channel
from instant.conf.push import Push
from instant.exceptions import InstantConfigError, PublishError
from instant.presence import present
from instant.publishing.outbox.pauses import Pauses
from instant.revoking.rounds import Rounds
from instant.rights import accounts
from instant.stored.model import Acknowledgement
from instant.stored.push import queue, subscriptions, vapid
from instant.stored.push.addresses import check_endpoint, origin_of
from instant.stored.push.model import PushSubscription, QueuedPush
from instant.stored.rows import database
from instant.tenancy import current as tenancy

if TYPE_CHECKING:
    from instant.stored.push.sending import Outcome, Request

__all__ = ["PushRelay"]

logger = logging.getLogger("instant.push")

_AT_ONCE = 1.0
"""Seconds that one look works; then whoever calls it may have something else to do."""
_FIRST, _LONGEST = 15.0, 3600.0
"""Seconds after a failure until the next attempt of one push."""
_LONGEST_ASKED = 6 * 3600.0
"""And what a push service may ask for."""
_COLLECTED = 600.0
"""Seconds between two looks for subscriptions that have expired."""

_GONE = frozenset({404, 410})
_BUSY = 429
_ERRORS = 500
_REFUSED = 300


class PushRelay:
    """Pushes what is due each time that look() is called."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses = Pauses(clock)
        """Of push services."""
        self._rounds = Rounds(self._look_here, clock)
        self._deadline = float("inf")
        self._collected: dict[str, float] = {}
        self.sent = self.failed = 0
        """How many, since it was made; those that failed may be tried again."""

    def look(self) -> float | None:
        """Push what is due for a second or so; return the seconds until there is more to do."""
        self._deadline = self._clock() + _AT_ONCE
        return self._rounds.look() if tenancy.are_used() else self._look_here()

    def call(self, tenants: Iterable[str]) -> None:
        """Look into these tenants at the next look."""
        if tenancy.are_used():
            self._rounds.call(tenants)

    def drain(self) -> None:
        """Push all that is due now, in every tenant."""
        self._deadline = float("inf")
        for tenant in [here] if (here := tenancy.current()) else list(tenancy.every()):
            with tenancy.activate(tenant):
                self._look_here()

    def _look_here(self) -> float | None:
        """Push what is due in the current context; return the seconds until there is more."""
        push = conf.current().push
        if push is None or not vapid.is_installed():
            return None
        self._collect()
        while claimed := queue.claim(push.timeout):
            self._work(claimed, push)
            if self._clock() >= self._deadline:
                return 0.0
        due = queue.next_due()
        return None if due is None else max((due - timezone.now()).total_seconds(), 0.0)

    def _work(self, claimed: Sequence[QueuedPush], push: Push) -> None:
        """Push these, and note what became of each."""
        from instant.stored.push.sending import send  # noqa: PLC0415  aiohttp takes a while

        wanted = self._unwaited(self._wanted(claimed, push))
        listed: list[tuple[QueuedPush, Request]] = []
        for one in wanted:
            try:
                listed.append((one, _request(one, push)))
            except ValueError as exc:  # keys that are none, or a service that was taken out
                logger.info("A push subscription can't be used, and is deleted: %s", exc)
                _delete([one.subscription])
        outcomes = send([request for _, request in listed], push.timeout) if listed else []
        done: list[QueuedPush] = []
        gone: list[PushSubscription] = []
        for (one, request), outcome in zip(listed, outcomes, strict=True):
            origin = origin_of(request.endpoint)
            if outcome.status in _GONE:
                gone.append(one.subscription)
            elif outcome.status in {0, _BUSY} or outcome.status >= _ERRORS:
                self._again(one, origin, outcome)
            else:
                done.append(one)
                self._took(origin, outcome)
        queue.done(done)
        _delete(gone)

    def _wanted(self, claimed: Sequence[QueuedPush], push: Push) -> list[QueuedPush]:
        """Return what is still to be pushed; what isn't is deleted, as are sessions that ended."""
        now = timezone.now()
        old = now - timedelta(seconds=push.ttl + push.delay)
        users = accounts.users({str(one.subscription.user_id) for one in claimed})
        read = _read(claimed)
        found, needless, ended = [], [], []
        present_now: dict[Any, bool] = {}
        for one in claimed:
            user = users.get(str(one.subscription.user_id))
            if subscriptions.has_ended(one.subscription, user, now):
                ended.append(one.subscription)
            elif (
                (one.message_id, one.subscription.user_id) in read
                or one.created_at < old
                or (push.unless_present and _is_present(user, present_now))
            ):
                needless.append(one)
            else:
                found.append(one)
        queue.done(needless)
        _delete(ended)
        return found

    def _unwaited(self, pushes: Sequence[QueuedPush]) -> list[QueuedPush]:
        """Return those whose push service may be asked now; the others are put off."""
        found = []
        for one in pushes:
            if left := self._pauses.left(origin_of(one.subscription.endpoint)):
                queue.later(one, timezone.now() + timedelta(seconds=left), failed=False)
            else:
                found.append(one)
        return found

    def _again(self, push: QueuedPush, origin: str, outcome: Outcome) -> None:
        """Try it again later: the longer the oftener it failed, and as the service asks."""
        self.failed += 1
        asked = min(outcome.retry_after, _LONGEST_ASKED)
        pause = max(min(_FIRST * 2.0 ** min(push.attempts, 10), _LONGEST), asked)
        queue.later(push, timezone.now() + timedelta(seconds=pause), failed=True)
        if self._pauses.failed(origin, at_least=asked):
            logger.warning("%s can't be reached, and pushes wait: %s", origin, _said(outcome))

    def _took(self, origin: str, outcome: Outcome) -> None:
        if outcome.status >= _REFUSED:  # for good: the site's key is wrong, or the message
            self.failed += 1
            logger.error("%s refuses a push: %s", origin, _said(outcome))
            return
        self.sent += 1
        if self._pauses.succeeded(origin):
            logger.warning("%s can be reached again.", origin)

    def _collect(self) -> None:
        tenant, now = tenancy.current(), self._clock()
        if now >= self._collected.get(tenant, float("-inf")):
            self._collected[tenant] = now + _COLLECTED
            subscriptions.collect()


def _request(push: QueuedPush, settings: Push) -> Request:
    """Return what is sent: an id, that only the browser can read."""
    from instant.stored.push.sending import Request  # noqa: PLC0415  see above

    subscription = push.subscription
    endpoint = check_endpoint(subscription.endpoint)  # the settings may be others by now
    id_ = push.message.uuid.hex
    left = settings.ttl + settings.delay - (timezone.now() - push.created_at).total_seconds()
    headers = {
        **vapid.headers_for(origin_of(endpoint), settings),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(max(int(left), 0)),
        "Topic": id_,  # of one that was sent twice a browser that is away gets one
        "Urgency": "normal",
    }
    body = vapid.encrypted(json.dumps({"id": id_}).encode(), subscription.browser)
    return Request(endpoint, headers, body)


def _read(pushes: Sequence[QueuedPush]) -> set[tuple[int, Any]]:
    """Return which message was read by whom."""
    manager = Acknowledgement._base_manager.using(database())  # noqa: SLF001
    found = manager.filter(
        message__in={one.message_id for one in pushes},
        user__in={one.subscription.user_id for one in pushes},
    )
    return set(found.values_list("message", "user"))


def _is_present(user: Any, known: dict[Any, bool]) -> bool:
    """Tell whether a user has a page open; where nobody knows they are told."""
    if user.pk not in known:
        try:
            known[user.pk] = bool(present(user_channel(user)))
        except (PublishError, InstantConfigError) as exc:
            logger.debug("Nobody knows who is present: %s", exc)
            known[user.pk] = False
    return known[user.pk]


def _delete(gone: Sequence[PushSubscription]) -> None:
    """Delete subscriptions that nobody can be reached by any more, with what waits for them."""
    for one in {one.pk: one for one in gone}.values():
        # One that was renewed meanwhile stays.
        subscriptions.own().filter(pk=one.pk, renewed_at=one.renewed_at).delete()


def _said(outcome: Outcome) -> str:
    return " ".join(filter(None, [str(outcome.status or ""), outcome.text.strip()]))
