"""What was stored in a block, and who acknowledged it, asserted by a project's tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, overload

from django.db.models.signals import pre_delete

from instant.channels.names import user_channel
from instant.stored.expectations import ANY, all_of, first_of, given, listing
from instant.stored.model import Acknowledgement, Message
from instant.stored.notifications.notify import EVENT
from instant.stored.outstanding import readable, waiting_for
from instant.stored.rows import Messages, database, own
from instant.tenancy import current as tenancy

__all__ = ["StoredMessages", "stored_messages"]


class StoredMessages(Sequence[Message]):
    """
    The messages that were stored in the block, oldest first.

    Also those that their channel's rule has let go since: it is known who acknowledged them.
    """

    def __init__(self) -> None:
        self._tenant = tenancy.current()
        self._before = own().order_by("-pk").values_list("pk", flat=True).first() or 0
        self._gone: dict[int, tuple[Message, set[Any]]] = {}
        self._frozen: list[Message] | None = None

    @property
    def messages(self) -> list[Message]:
        """All of them."""
        if self._frozen is not None:
            return self._frozen
        with tenancy.activate(self._tenant):
            there = {one.pk: one for one in self._rows().select_related("row")}
        for pk in there:  # where that was rolled back
            self._gone.pop(pk, None)
        gone = {pk: one for pk, (one, _) in self._gone.items()}
        return [one for _, one in sorted((there | gone).items())]

    def assert_stored(
        self,
        channel: str,
        message: Any = ANY,
        *,
        data: Any = ANY,
        event_class: Any = ANY,
        sender: Any = ANY,
        context: Any = ANY,
        count: int | None = None,
    ) -> Message:
        """
        Assert that it was stored for the channel's readers, and return the first that matches.

        Only what is given is compared; ``count`` asks for exactly so many. ``sender`` is a user,
        None for what Python published.
        """
        wanted = given(
            message=message, data=data, event_class=event_class, sender=sender, context=context
        )
        if wanted.get("sender") is not None:
            wanted["sender"] = wanted["sender"].pk
        found = [
            one
            for one in self.messages
            if one.name == channel
            and all(value == _told(one)[key] for key, value in wanted.items())
        ]
        return first_of(found, count, f"stored: {channel!r} with {wanted}", self._listing())

    def assert_nothing_stored(self, channel: str | None = None) -> None:
        """Assert that nothing was stored, or nothing for one channel."""
        if found := [one for one in self.messages if channel in {None, one.name}]:
            raise AssertionError(f"{len(found)} stored messages too many.\n{self._listing()}")

    def assert_notified(
        self,
        user: Any,
        title: Any = ANY,
        *,
        body: Any = ANY,
        url: Any = ANY,
        kind: Any = ANY,
        data: Any = ANY,
        count: int | None = None,
    ) -> Message:
        """Assert that the user was notified, and return the first notification that matches."""
        wanted = given(title=title, body=body, url=url, kind=kind, data=data)
        own_channel = user_channel(user)
        found = [
            one
            for one in self.messages
            if one.channel == own_channel
            and one.payload.get("event_class") == EVENT
            and all(value == one.payload["data"].get(key) for key, value in wanted.items())
        ]
        return first_of(found, count, f"notified: {user!r} with {wanted}", self._listing())

    def assert_outstanding(
        self, user: Any, channel: str | None = None, *, count: int | None = None
    ) -> list[Message]:
        """
        Assert that messages of the block wait for the user, and return them.

        Those that the user hasn't acknowledged and may read now. At least one, or exactly
        ``count``, which may be 0.
        """
        with tenancy.activate(self._tenant):
            waiting = waiting_for(user).filter(pk__gt=self._before)
            found = list(readable(user, waiting).select_related("row"))
        found = [one for one in found if channel in {None, one.name}]
        return list(
            all_of(found, count, f"outstanding for {user!r}{_on(channel)}", self._listing())
        )

    def assert_acknowledged(
        self, user: Any, channel: str | None = None, *, count: int | None = None
    ) -> list[Message]:
        """
        Assert that the user has acknowledged messages of the block, and return them.

        At least one, or exactly ``count``, which may be 0.
        """
        manager = Acknowledgement._base_manager.using(database())  # noqa: SLF001
        with tenancy.activate(self._tenant):
            mine = manager.filter(user=user.pk, message__in=self._rows())
            done = set(mine.values_list("message", flat=True))
        messages = self.messages
        done |= {pk for pk, (_, users) in self._gone.items() if user.pk in users}
        found = [one for one in messages if one.pk in done and channel in {None, one.name}]
        return list(
            all_of(found, count, f"acknowledged by {user!r}{_on(channel)}", self._listing())
        )

    def _rows(self) -> Messages:
        return own().filter(pk__gt=self._before)

    def _listing(self) -> str:
        return listing("Stored was:", (f"{one.name} {one.payload!r}" for one in self.messages))

    def _goes(self, instance: Message, **_kwargs: Any) -> None:
        if instance.pk > self._before and instance.tenant == self._tenant:
            users = set(instance.acknowledgements.values_list("user", flat=True))
            self._gone[instance.pk] = copy(instance), users  # Django takes the key away

    def _freeze(self) -> None:
        self._frozen = self.messages

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return self.messages[index]

    def __len__(self) -> int:
        return len(self.messages)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.messages!r}>"


@contextmanager
def stored_messages() -> Iterator[StoredMessages]:
    """
    Watch what is stored in the block, in the current tenant.

    Nothing that was rolled back is among it, nor what is stored after the block.
    """
    found = StoredMessages()
    pre_delete.connect(found._goes, sender=Message)  # noqa: SLF001  one class in two pieces
    try:
        yield found
        found._freeze()  # noqa: SLF001  likewise
    finally:
        pre_delete.disconnect(found._goes, sender=Message)  # noqa: SLF001  likewise


def _told(message: Message) -> dict[str, Any]:
    payload = message.payload
    return {
        "message": payload.get("message"),
        "data": payload.get("data"),
        "event_class": payload.get("event_class"),
        "sender": message.sender_id,
        "context": json.loads(message.context) if message.context else None,
    }


def _on(channel: str | None) -> str:
    return "" if channel is None else f" on {channel!r}"
