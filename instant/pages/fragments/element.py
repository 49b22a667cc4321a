"""A fragment in a page: its HTML in the element that keeps it live."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.http import HttpRequest
from django.utils.asyncio import async_unsafe
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from instant import conf
from instant.broadcasting.receivers import declared_of
from instant.exceptions import InstantConfigError
from instant.namespaces import find_namespace
from instant.pages.fragments.fragment import Fragment, channel_of, declaration_of, digest
from instant.pages.fragments.objects import load
from instant.pages.fragments.places import Place, places
from instant.pages.fragments.rendering import render
from instant.rights.primary import reading_from_primary

__all__ = ["attributes", "element", "is_public"]

_ROUNDS = 5
"""As often an object may be in another channel than a moment ago."""


@async_unsafe(
    "Asking the message server for the position of a fragment would hold up the event loop of "
    "this thread. Render the page in another: “await sync_to_async(render)(request, …)”."
)
def element(request: HttpRequest, fragment: Fragment, instance: models.Model) -> SafeString:
    """
    Return the fragment as it is now, in its element; nothing where the viewer may not see it.

    The position is asked first and the object read again, so that no change is missed between
    this page and its connection.
    """
    if fragment.public and fragment.channel and not is_public(fragment.channel):
        raise InstantConfigError(
            f"{{% live … public=True %}}: not everybody may hear {fragment.channel!r}. Only "
            'channels of a namespace with authorize = "open" are public.'
        )
    with reading_from_primary():
        fragment, place, found = _newest(request, fragment, instance)
        if found is None:
            return mark_safe("")
        html = render(fragment, found, request)
    if not fragment.channel:
        return html
    said = attributes(fragment, place, html)
    del said["tag"]  # the reference has it
    return format_html(
        "<instant-live{}>{}</instant-live>",
        format_html_join("", ' {}="{}"', [(n, v) for n, v in said.items() if v != ""]),
        html,
    )


def _newest(
    request: HttpRequest, fragment: Fragment, given: models.Model
) -> tuple[Fragment, Place, models.Model | None]:
    """Return the object as it is after its channel's position was asked for."""
    model, user = type(given), _viewer(request, fragment, type(given))
    for _ in range(_ROUNDS):
        place = places([fragment.channel])[fragment.channel] if fragment.channel else Place()
        found = load(model, [given.pk], user, hidden=fragment.hidden).get(given.pk)
        if found is None and not fragment.hidden:
            found = load(model, [given.pk], user, hidden=True).get(given.pk)
            fragment = replace(fragment, hidden=found is not None)
        if found is None or fragment.own_channel:
            return fragment, place, found
        channel = channel_of(found) or ""
        if channel in {fragment.channel, ""}:
            return replace(fragment, channel=channel), place, found
        fragment = replace(fragment, channel=channel)  # it has moved since the view read it
    return fragment, Place(), found  # faster than we look: its page asks once more


_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
"""Each rendering has another one, and each is as good."""


def attributes(fragment: Fragment, place: Place, html: str) -> dict[str, Any]:
    """Return what the page's script has to know of a fragment with this HTML; ``""`` for no."""
    tag = digest(_TOKEN.sub("", html))
    return {
        "tag": tag,
        "channel": fragment.channel,
        "key": fragment.key,
        "ref": replace(fragment, tag=tag).signed(),
        "offset": place.offset if place.epoch else "",
        "epoch": place.epoch,
        "window": place.window,
        "events": _events(fragment),
        "pk": "" if fragment.events or fragment.own_channel else fragment.pk,
        "public": "public" if fragment.public else "",
    }


def is_public(channel: str) -> bool:
    """Tell whether the channel is everybody's, by its namespace's own word."""
    found = find_namespace(channel)
    return (
        found is not None
        and found[0].authorize == "open"
        and not found[0].rows
        and conf.current().anonymous
    )


def _events(fragment: Fragment) -> str:
    """Return the event classes that concern the fragment; ``""`` for all of the channel."""
    if fragment.events or fragment.own_channel:
        return fragment.events
    declaration = declaration_of(fragment.model_class())
    return "" if declaration is None else f"{declaration.name}.*"


def _viewer(request: HttpRequest, fragment: Fragment, model: type[models.Model]) -> Any:
    """Return the user, who isn't looked for where nobody asks."""
    declaration = declared_of(model)
    if fragment.public or declaration is None or declaration.visible_to is None:
        return AnonymousUser()
    return getattr(request, "user", AnonymousUser())
