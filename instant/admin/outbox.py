"""The outbox in the admin: what waits, and what was set aside; nothing can be edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.db import connections
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from instant.admin.hidden import HiddenColumns
from instant.models import OutboxRow
from instant.publishing.outbox import notes
from instant.publishing.outbox.again import send_again
from instant.publishing.outbox.state import count_in
from instant.rights import accounts

__all__ = ["OutboxRowAdmin"]

if TYPE_CHECKING:  # generic for the type checker only
    _OutboxRowAdmin = admin.ModelAdmin[OutboxRow]
else:
    _OutboxRowAdmin = admin.ModelAdmin

_WAITING = Q(partition__gte=0)
_SENT = Q(partition=OutboxRow.KEPT)
_MOST_TO_CONFIRM = 900
"""Rows that are deleted at a time: Django takes 1,000 fields of a form (its default)."""


_read: dict[str, tuple[tuple[int, ...], notes.Notes]] = {}
"""By database, the notes as they were read, and of which file."""


def _noted(alias: str) -> notes.Notes:
    """Return what a relay on SQLite has noted and nobody has written yet; asked for each row."""
    connection = connections[alias]
    if not notes.are_used(connection):
        return notes.Notes()
    try:
        stat = notes.path_of(connection).stat()
    except OSError:  # nothing was sent yet
        return notes.Notes()
    file = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    known = _read.get(alias)
    if known is None or known[0] != file:
        known = _read[alias] = (file, notes.read(connection))
    return known[1]


class _StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:  # noqa: ARG002
        return (
            ("waiting", _("waiting")),
            ("set_aside", _("set aside")),
            ("sent", _("sent, and kept")),
        )

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        refused = Q(pk__in=[int(id_) for id_ in _noted(queryset.db).refused])
        match self.value():
            case "waiting":
                return queryset.filter(_WAITING & ~refused)
            case "set_aside":
                return queryset.filter(~_WAITING & ~_SENT | refused)
            case "sent":
                return queryset.filter(_SENT)
        return queryset


class _NamespaceFilter(admin.AllValuesFieldListFilter):
    def choices(self, changelist: Any) -> Iterator[Any]:
        """Name what stands for those without one, which would be a link without a text."""
        for choice in super().choices(changelist):
            text = str(choice["display"])
            if not text or text.startswith(" ("):  # how many there are
                text = changelist.model_admin.get_empty_value_display() + text
            yield {**choice, "display": text}


def _delete_some(
    model_admin: OutboxRowAdmin, request: HttpRequest, queryset: QuerySet[OutboxRow]
) -> HttpResponse | None:
    """Delete rows after a question, if the form of that can name them all."""
    if queryset[: _MOST_TO_CONFIRM + 1].count() <= _MOST_TO_CONFIRM:
        return delete_selected(model_admin, request, queryset)
    text = gettext(
        "At most %(most)d rows are deleted at a time. For more use a shell: "
        "OutboxRow.objects.filter(partition__lt=0).delete() deletes all that do not wait."
    )
    messages.error(request, text % {"most": _MOST_TO_CONFIRM})
    return None


@admin.register(OutboxRow)
class OutboxRowAdmin(HiddenColumns, _OutboxRowAdmin):
    """
    List rows, delete them, and send again what was set aside.

    What a row says is shown only to those with the permission to view payloads.
    """

    hidden, shown_with = ("payload",), "instant.view_outbox_payload"
    list_display = ("id", "state", "short_error", "namespace", "method", "created_at")
    list_filter = (_StateFilter, ("namespace", _NamespaceFilter))
    ordering = ("-id",)
    actions = ("send_again",)
    list_per_page = 50
    show_full_result_count = False

    class Media:
        """Room for errors."""

        css: ClassVar = {"all": ("instant/admin/outbox.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxRow]:
        """Leave out what was sent already, and the payload where it isn't shown."""
        rows = super().get_queryset(request)
        noted = _noted(rows.db)
        if noted.upto:
            rows = rows.exclude(noted.done() & ~Q(pk__in=[int(id_) for id_ in noted.refused]))
        return rows if self._shows_content(request) else rows.defer("payload")

    def get_fields(self, request: HttpRequest, obj: OutboxRow | None = None) -> Any:  # noqa: ARG002
        """Show the payload to those who may see it."""
        fields = ["id", "state", "method", "namespace", "partition", "created_at", "sent_at"]
        fields += ["attempts", "full_error"]
        return [*fields, "payload"] if self._shows_content(request) else fields

    def get_readonly_fields(self, request: HttpRequest, obj: OutboxRow | None = None) -> Any:
        """Let nothing be edited."""
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        """Let publish() write rows, and nobody here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: OutboxRow | None = None) -> bool:  # noqa: ARG002
        """Let nothing be edited, whoever it is; the permission is for sending again."""
        return False

    def has_again_permission(self, request: HttpRequest) -> bool:
        """Tell who may send again: those with the permission to change rows."""
        return accounts.holds(request.user, "instant.change_outboxrow")

    def has_view_permission(self, request: HttpRequest, obj: OutboxRow | None = None) -> bool:
        """Tell who may see the list; those who may send again may too."""
        return super().has_view_permission(request, obj) or self.has_again_permission(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say where nobody seems to send the rows."""
        alias = self.get_queryset(request).db
        if request.method == "GET" and count_in(alias).is_late(timezone.now()):
            text = gettext(
                "Rows have waited for over a minute. Do the message server and “manage.py "
                "relay_outbox” or “manage.py runws” run?"
            )
            messages.warning(request, text)
        return super().changelist_view(request, extra_context)

    @admin.display(description=_("state"))
    def state(self, row: OutboxRow) -> str:
        """Return what becomes of the row."""
        if row.partition == OutboxRow.KEPT:
            return gettext("sent, and kept")
        if row.partition < 0 or self._noted_error(row):
            return gettext("set aside")
        return gettext("waiting")

    @admin.display(description=_("error"))
    def short_error(self, row: OutboxRow) -> str:
        """Return the beginning of the error, in an element that gives it room."""
        text = Truncator(self.full_error(row)).chars(80)
        return format_html('<div class="instant-error">{}</div>', text) if text else ""

    @admin.display(description=_("error"))
    def full_error(self, row: OutboxRow) -> str:
        """Return why the server refused it."""
        return row.error or self._noted_error(row)

    def _noted_error(self, row: OutboxRow) -> str:
        return _noted(row._state.db or "default").refused.get(str(row.pk), "")  # noqa: SLF001  Django's documented API

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Have no more deleted at a time than a form can name."""
        # Django has the parameter from 6.1 on, and wants to see its name.
        given = {} if action_location is None else {"action_location": action_location}
        found: dict[str, Any] = super().get_actions(request, **given)
        theirs: Any = found.get("delete_selected")
        if isinstance(theirs, tuple):  # before Django 6.1
            found["delete_selected"] = (_delete_some, *theirs[1:])
        elif theirs is not None:
            found["delete_selected"] = replace(theirs, func=_delete_some)
        return found

    @admin.action(description=_("Send again"), permissions=["again"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboxRow]) -> None:
        """Let those be sent again that were set aside."""
        sent = send_again(queryset.db, list(queryset.values_list("pk", flat=True)))
        told = ngettext("%(count)d row is sent again.", "%(count)d rows are sent again.", sent)
        messages.success(request, told % {"count": sent})
