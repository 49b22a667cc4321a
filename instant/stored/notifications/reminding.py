"""
Reminding people of what they haven't read for a while: one mail a user, once a notification.

A notification is claimed by an UPDATE, so two processes never remind of the same one. The claim
is over after a while; where whoever had it died in the middle of sending, another may send again.
What fails is tried again, for a week at most.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet
from django.utils import timezone, translation
from django.utils.module_loading import import_string

from instant import conf
from instant.conf.reminders import Reminders
from instant.permissions import is_known
from instant.revoking.rounds import Rounds
from instant.rights import accounts
from instant.stored.model import Acknowledgement
from instant.stored.notifications import mail
from instant.stored.notifications.model import Notification
from instant.stored.rows import database
from instant.tenancy import current as tenancy

__all__ = ["Reminder"]

logger = logging.getLogger("instant.notifications")

_AT_ONCE = 1.0
"""Seconds that one look works; then whoever calls it may have something else to do."""
_CLAIMED = timedelta(minutes=15)
"""Longer than a mail takes; see EMAIL_TIMEOUT."""
_USERS = 100
_FEW = 500
_MOST = 100
"""Notifications that one mail is about; of more it says that there are more."""
_FIRST, _LONGEST = 60.0, 3600.0
"""Seconds after a failure until the next attempt."""
_GIVEN_UP = timedelta(days=7)
_MOST_FAILURES = 3
"""After so many in a row it is the mail server, and no user: the rest waits for it."""


class Reminder:
    """Reminds whom it is time to remind each time that look() is called."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rounds = Rounds(self._look_here, clock)
        self._deadline = float("inf")
        self._failures = 0
        self.reminded = self.failed = 0
        """How many users, since it was made."""

    def look(self) -> float | None:
        """Remind for a second or so; return the seconds until there is more to do."""
        self._deadline = self._clock() + _AT_ONCE
        return self._rounds.look() if tenancy.are_used() else self._look_here()

    def drain(self) -> None:
        """Remind everybody of what is due now, in every tenant."""
        self._deadline = float("inf")
        for tenant in [here] if (here := tenancy.current()) else list(tenancy.every()):
            with tenancy.activate(tenant):
                self._look_here()

    def _look_here(self) -> float | None:
        settings = conf.current().reminders
        if settings is None:
            return None
        self._failures = 0
        while users := _due_users():
            for user in users:
                self._remind(user, settings)
                if self._failures == _MOST_FAILURES:
                    return _FIRST
                if self._clock() >= self._deadline:
                    return 0.0
        due = _own().aggregate(next=Min("remind_at"))["next"]
        return None if due is None else max((due - timezone.now()).total_seconds(), 0.0)

    def _remind(self, key: Any, settings: Reminders) -> None:
        """Remind one user of all that they haven't read and weren't reminded of."""
        claimed = _claim(key)
        manager = Notification._base_manager.using(database())  # noqa: SLF001
        ours = manager.filter(user=key, remind_claim=claimed)
        ours.filter(Exists(_read())).update(remind_at=None, remind_claim="")
        some = list(ours.select_related("message").order_by("-message")[: _MOST + 1])
        user = accounts.account(str(key))
        if not some:
            return
        try:
            if user is not None and is_known(user) and _wants(user, settings):
                _send(user, some, settings)
                self.reminded += 1
        except Exception as exc:  # it is the project's code, and its mail server
            self.failed += 1
            self._failures += 1
            if not _put_off(ours, some):
                logger.exception("Nobody could remind user %s, and nobody tries again.", key)
            elif some[0].remind_attempts == 0:
                logger.warning("User %s could not be reminded; it is tried again: %s", key, exc)
            return
        self._failures = 0
        ours.update(remind_at=None, remind_claim="")


def _own() -> QuerySet[Notification]:
    manager = Notification._base_manager.using(database())  # noqa: SLF001
    return manager.filter(remind_at__isnull=False, message__tenant=tenancy.current())


def _read() -> QuerySet[Acknowledgement]:
    manager = Acknowledgement._base_manager.using(database())  # noqa: SLF001
    return manager.filter(message=OuterRef("message"), user=OuterRef("user"))


def _due_users() -> list[Any]:
    """Return users who have something that is due, who wait for longest first."""
    due = _own().filter(remind_at__lte=timezone.now())
    found = due.order_by("remind_at").values_list("user", flat=True)[: 5 * _USERS]
    return list(dict.fromkeys(found))[:_USERS]


def _claim(user: Any) -> str:
    """Claim what a user is to be reminded of, what is due soon too; return by which word."""
    now, claimed = timezone.now(), secrets.token_hex(16)
    keys = list(_own().filter(user=user).order_by("remind_at").values_list("pk", flat=True)[:_FEW])
    # Without a join, so that the database asks again where somebody was faster.
    free = Q(remind_claim="") | Q(remind_at__lte=now)
    rows = Notification._base_manager.using(database()).filter(pk__in=keys)  # noqa: SLF001
    rows.filter(free, remind_at__isnull=False).update(
        remind_claim=claimed, remind_at=now + _CLAIMED
    )
    return claimed


def _put_off(ours: QuerySet[Notification], some: Sequence[Notification]) -> bool:
    """Try it again later, the longer the oftener it failed; False where it is given up."""
    now = timezone.now()
    attempts = max(one.remind_attempts for one in some)
    if all(one.message.created_at < now - _GIVEN_UP for one in some):
        ours.update(remind_at=None, remind_claim="")
        return False
    due: datetime = now + timedelta(seconds=min(_FIRST * 2.0 ** min(attempts, 10), _LONGEST))
    ours.update(remind_at=due, remind_claim="", remind_attempts=F("remind_attempts") + 1)
    return True


def _wants(user: Any, settings: Reminders) -> bool:
    """Tell whether the user wants any, as the project's function says."""
    return settings.wanted is None or bool(import_string(settings.wanted)(user))


def _send(user: Any, notifications: Iterable[Notification], settings: Reminders) -> None:
    """Let the project's function tell the user, or ours, in the user's language."""
    listed = [{**one.message.payload["data"], "id": one.message.uuid.hex} for one in notifications]
    language = settings.language and import_string(settings.language)(user)
    with translation.override(language or translation.get_language()):
        if settings.send is not None:
            import_string(settings.send)(user, listed[:_MOST])
        else:
            mail.send(user, listed[:_MOST], settings, has_more=len(listed) > _MOST)
