"""Channels in the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.contrib.auth import get_user_model
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from instant import conf
from instant.admin.declared import DeclaredRows
from instant.admin.status import READ_ONLY, STORED_FIELDSETS, AvailabilityFilter, StatusColumns
from instant.exceptions import (
    BatchError,
    InstantConfigError,
    InvalidChannelName,
    PublishError,
)
from instant.models import Channel
from instant.producers import publish
from instant.publishing.batch import batch
from instant.publishing.publication import Publication
from instant.server import proxy_urls

__all__ = ["ChannelAdmin", "ChannelForm"]

SEARCHED = 100
"""
Users on a list from which on it is one of primary keys.

A list that is searched sends a field for each; Django refuses forms with more than 1,000.
"""


if TYPE_CHECKING:  # generic for the type checker only
    _ChannelModelForm = forms.ModelForm[Channel]
    _ChannelModelAdmin = admin.ModelAdmin[Channel]
else:
    _ChannelModelForm = forms.ModelForm
    _ChannelModelAdmin = admin.ModelAdmin


PICKERS = {
    "level": (Channel.Level.GROUPS, ("groups", "members")),
    "publish_level": (Channel.PublishLevel.LISTED, ("publish_groups", "publishers")),
    "status_level": (Channel.StatusLevel.LISTED, ("status_groups", "status_viewers")),
}
"""By field: the value with which its pickers count, and the pickers."""


class ChannelForm(_ChannelModelForm):
    """
    Asks who may subscribe, where nothing is said yet, and adds the ``$`` to a new private name.

    The level of a new channel has no default here: whoever makes one chooses. The model's would
    be the narrowest, and its ``$`` a surprise.
    """

    dollar_added = False

    class Meta:
        """All fields of a channel."""

        model = Channel
        fields = (
            "name", "description", "is_active", "level", "groups", "members",
            "publish_level", "publish_groups", "publishers", "presence_level",
            "store", "answers_pings", "status_level", "status_groups", "status_viewers",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Leave the level of a new channel open, and name to the script what it shows when."""
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            self.fields["name"].help_text = _(
                "Begins with $ unless the channel is public; a new one gets it by itself."
            )
        if "description" in self.fields:
            self.fields["description"].widget.attrs["rows"] = 3  # what follows is what counts
        level = self.fields.get("level")
        if isinstance(level, forms.TypedChoiceField) and self.instance._state.adding:  # noqa: SLF001
            level.choices = [("", "---------"), *Channel.Level.choices]
            level.initial = None
        for name, (value, pickers) in PICKERS.items():
            if name in self.fields:
                self.fields[name].widget.attrs |= {
                    "data-instant-shows": " ".join(pickers),
                    "data-instant-on": str(value),
                }

    def clean(self) -> dict[str, Any] | None:
        """Add the ``$``; a change of level is refused by the model, which names the new name."""
        cleaned = super().clean() or self.cleaned_data
        name, level = cleaned.get("name"), cleaned.get("level")
        private = bool(level) and level != Channel.Level.PUBLIC
        if self.instance._state.adding and name and private and not name.startswith("$"):  # noqa: SLF001  Django's documented flag
            cleaned["name"] = f"${name}"
            self.dollar_added = True
        return cleaned


def _is_asked() -> bool:
    """Tell whether the server's config has, or gets, an address at which it asks Django."""
    try:
        return proxy_urls.urls(conf.current()) is not None
    except InstantConfigError:
        return False


def _count(name: str) -> Coalesce:
    """Return a subquery that counts; joined together the rows of both would multiply."""
    through = getattr(Channel, name).through.objects.filter(channel=OuterRef("pk"))
    counted = through.order_by().values("channel").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), 0)


@admin.register(Channel)
class ChannelAdmin(DeclaredRows, StatusColumns, _ChannelModelAdmin):
    """List, search and edit channels; publish a test message."""

    form = ChannelForm
    list_display = (
        "name", "level", "is_active", "group_count", "member_count", "publish_level", "description",
    )  # fmt: skip
    list_filter = (
        "level", "is_active", AvailabilityFilter, "store", "publish_level", "presence_level",
        "groups",
    )  # fmt: skip
    search_fields = ("name", "description")
    fieldsets = (
        (None, {"fields": ("name", "description", "is_active")}),
        (_("Who may subscribe"), {"fields": ("level", "groups", "members")}),
        (_("Who may publish"), {"fields": ("publish_level", "publish_groups", "publishers")}),
        (_("Who may see presence"), {"fields": ("presence_level", "subscribed_now")}),
        *STORED_FIELDSETS,
    )
    readonly_fields = READ_ONLY
    filter_horizontal = ("groups", "publish_groups", "status_groups")
    raw_id_fields = ("members", "publishers", "status_viewers")
    actions = ("publish_test_message", "ping")
    list_per_page = 50

    class Media:
        """What shows only the pickers that count; without it all of them are there."""

        js = ("instant/admin/channel.js",)

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        """Leave out the pickers that don't count where nobody can change what counts."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        hidden = {
            picker
            for name, (value, pickers) in PICKERS.items()
            if getattr(obj, name) != value
            for picker in pickers
        }
        return [
            (title, {**options, "fields": [f for f in options["fields"] if f not in hidden]})
            for title, options in fieldsets
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        """Count groups and members in the same query, each by itself."""
        return (
            super()
            .get_queryset(request)
            .annotate(group_count=_count("groups"), member_count=_count("members"))
        )

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelMultipleChoiceField[Any] | None:
        """Search users by name, where that can be; else primary keys are typed."""
        if db_field.name in self.raw_id_fields and self._may_search(db_field, request):
            kwargs["widget"] = AutocompleteSelectMultiple(db_field, self.admin_site)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def _may_search(self, db_field: Any, request: HttpRequest) -> bool:
        """Tell whether there is an admin of users to search in, and a list that a form can send."""
        users = self.admin_site._registry.get(get_user_model())  # noqa: SLF001  as Django's own checks
        if users is None or not users.get_search_fields(request):
            return False
        if not users.has_view_permission(request):
            return False
        match = request.resolver_match
        pk = match.kwargs.get("object_id") if match else None
        if pk is None:
            return True
        through = getattr(Channel, db_field.name).through.objects
        return bool(through.filter(channel=unquote(pk)).order_by()[:SEARCHED].count() < SEARCHED)

    @admin.display(description=_("groups"), ordering="group_count")
    def group_count(self, channel: Any) -> int:
        """Return how many groups may subscribe."""
        return int(channel.group_count)

    @admin.display(description=_("members"), ordering="member_count")
    def member_count(self, channel: Any) -> int:
        """Return how many users may subscribe beside them."""
        return int(channel.member_count)

    def save_model(
        self, request: HttpRequest, obj: Channel, form: _ChannelModelForm, change: bool
    ) -> None:
        """Say what the form did to the name, what has no effect, and where nobody is let in."""
        super().save_model(request, obj, form, change)
        if isinstance(form, ChannelForm) and form.dollar_added:
            text = gettext(
                "The channel is named “%(name)s”: a name that isn't public begins with $."
            )
            messages.info(request, text % {"name": obj.name})
        listed = form.cleaned_data.get("groups") or form.cleaned_data.get("members")
        if listed and obj.level != Channel.Level.GROUPS:
            text = gettext(
                "Groups and members have no effect on the level “%(level)s”, only on “Groups”."
            )
            messages.warning(request, text % {"level": obj.get_level_display()})
        can_list = {"groups", "members"} <= set(form.cleaned_data)
        if can_list and not listed and obj.level == Channel.Level.GROUPS:
            text = gettext(
                "Nobody may subscribe yet, because the channel has neither groups nor members."
            )
            messages.warning(request, text)
        self.warn_of_publishing(request, obj, form.cleaned_data)

    def warn_of_publishing(
        self, request: HttpRequest, obj: Channel, cleaned: Mapping[str, Any]
    ) -> None:
        """Say what keeps people from publishing though the form names them."""
        listed = cleaned.get("publish_groups") or cleaned.get("publishers")
        if listed and obj.publish_level != Channel.PublishLevel.LISTED:
            text = gettext(
                "Groups and users that may publish have no effect on “%(level)s”, only on "
                "“Listed groups and users”."
            )
            messages.warning(request, text % {"level": obj.get_publish_level_display()})
        can_list = {"publish_groups", "publishers"} <= set(cleaned)
        if can_list and not listed and obj.publish_level == Channel.PublishLevel.LISTED:
            text = gettext("Nobody may publish yet, because neither groups nor users are listed.")
            messages.warning(request, text)
        if obj.publish_level != Channel.PublishLevel.NOBODY and not _is_asked():
            text = gettext(
                "Nobody can publish from the browser yet, because the server doesn't know where "
                'to ask: set INSTANT["PROXY_URL"] and run “manage.py syncws”.'
            )
            messages.warning(request, text)

    @admin.action(description=_("Publish a test message"), permissions=["change"])
    def publish_test_message(self, request: HttpRequest, queryset: QuerySet[Channel]) -> None:
        """Publish to the selected channels at once, so that a failure is seen here."""
        text = gettext("Test message from %(user)s") % {"user": request.user}
        publications: list[Publication] = []
        errors: list[Exception] = []
        try:
            with batch():
                for channel in queryset.order_by("name"):
                    try:
                        publication = publish(
                            channel.name, text, event_class="test", on_commit=False
                        )
                    except InvalidChannelName as exc:
                        errors.append(exc)
                    else:
                        publications.append(publication)
        except BatchError as exc:
            errors.extend(exc.errors)
        except (PublishError, InstantConfigError) as exc:
            errors.append(exc)
        for error in errors:
            messages.error(request, str(error))
        sent = sum(publication.state == "sent" for publication in publications)
        if sent:
            told = ngettext(
                "Published a test message to %(count)d channel.",
                "Published a test message to %(count)d channels.",
                sent,
            )
            messages.success(request, told % {"count": sent})
