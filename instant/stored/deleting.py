"""
What goes with a channel or a user that is deleted: messages, and who acknowledged them.

Django would load each of them, and list each where its admin asks whether to delete. They may be
a hundred thousand, so they are deleted by statements, whoever listens to signals of all models.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps

__all__ = ["acknowledgements", "messages", "notifications"]

_AT_ONCE = 1000


class _Later:
    """One of a collector's “fast deletes”: it does its work when the collector deletes."""

    def __init__(self, found: Any, column: str) -> None:
        self.model, self._found, self._column = found.model, found, column

    def _raw_delete(self, using: str) -> int:
        """Delete messages, with all that leads to them, and return how many."""
        deleted = 0
        # All keys at first: PostgreSQL would pass over what this transaction deleted each time.
        keys = list(self._found.using(using).values_list(self._column, flat=True))
        for start in range(0, len(keys), _AT_ONCE):
            batch = keys[start : start + _AT_ONCE]
            for name in ("Acknowledgement", "Notification", "QueuedPush"):
                _rows(name, using).filter(message__in=batch)._raw_delete(using)  # noqa: SLF001
            rows = _rows("Message", using)
            rows.filter(request__in=batch).update(request=None)
            deleted += rows.filter(pk__in=batch)._raw_delete(using)  # noqa: SLF001
        return deleted


def messages(collector: Any, _field: Any, sub_objs: Any, _using: str) -> None:
    """Delete the messages, for a field with ``on_delete``."""
    collector.fast_deletes.append(_Later(_plain(sub_objs), "pk"))


def notifications(collector: Any, _field: Any, sub_objs: Any, _using: str) -> None:
    """Delete notifications with their messages: their channel is one that nobody has any more."""
    collector.fast_deletes.append(_Later(_plain(sub_objs), "message"))


def acknowledgements(collector: Any, _field: Any, sub_objs: Any, _using: str) -> None:
    """Delete the acknowledgements."""
    collector.fast_deletes.append(_plain(sub_objs))


for _function in (messages, notifications, acknowledgements):
    # Else Django loads them to see whether there are any.
    setattr(_function, "lazy_sub_objs", True)  # noqa: B010  mypy knows no attributes of functions


def _plain(sub_objs: Any) -> Any:
    return sub_objs.order_by().defer(None)


def _rows(name: str, using: str) -> Any:
    return apps.get_model("instant", name)._base_manager.using(using)  # noqa: SLF001
