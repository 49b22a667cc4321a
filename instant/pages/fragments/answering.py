"""
What a page gets for its references: each fragment as its viewer may see it now.

In this order: who may, the position, the object, the HTML. A reference is no right: the channel's
rule and the model's ``visible_to`` are asked each time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.signals import got_request_exception
from django.db import models
from django.http import HttpRequest

from instant import permissions
from instant.pages import loading
from instant.pages.fragments.element import attributes, is_public
from instant.pages.fragments.fragment import Fragment, channel_of
from instant.pages.fragments.objects import load
from instant.pages.fragments.places import Place, places
from instant.pages.fragments.rendering import render
from instant.pages.reference import InvalidReference

__all__ = ["DENIED", "GONE", "LATER", "OLD", "Answer", "answers", "public_answer"]

logger = logging.getLogger("instant.pages")

Answer = dict[str, Any]

_ROUNDS = 5
"""As often an object may be in another channel than a moment ago."""

DENIED: Answer = {"state": "denied"}
"""The viewer may not hear the channel."""
GONE: Answer = {"state": "gone"}
"""The object isn't there, or not for this viewer: which of both, nobody learns."""
OLD: Answer = {"state": "old"}
"""The reference counts no longer; the page's own address has a new one."""
LATER: Answer = {"state": "later"}
"""It can't be told now."""


def answers(request: HttpRequest, references: Sequence[Any]) -> list[Answer]:
    """
    Return what has become of each: the element's attributes, with ``html`` where that has changed.

    Otherwise ``state`` says why not.
    """
    loading.is_loaded(request)
    fragments = [_read(text) for text in references]
    found: dict[int, Answer] = {n: OLD for n, fragment in enumerate(fragments) if fragment is None}
    asked = {n: one for n, one in enumerate(fragments) if one is not None}
    for _ in range(_ROUNDS):
        answered, asked = _round(request, asked)
        found |= answered
        if not asked:
            break
    found |= dict.fromkeys(asked, LATER)  # they move faster than we look
    return [found[n] for n in range(len(references))]


def public_answer(request: HttpRequest, text: Any) -> tuple[Answer, Place]:
    """Return what everybody gets for a public reference, and the channel's place before it."""
    try:
        fragment = Fragment.read(text, public=True)
        model = fragment.model_class()
        place = places([fragment.channel])[fragment.channel]
        found = load(model, [fragment.key_value()], AnonymousUser(), hidden=fragment.hidden)
    except InvalidReference:
        return OLD, Place()
    instance = next(iter(found.values()), None)
    if instance is None:
        return GONE, place
    if not fragment.own_channel:
        fragment = replace(fragment, channel=channel_of(instance) or "")
    if not is_public(fragment.channel):
        return DENIED, place
    return _shown(request, fragment, place, instance), place


def _read(text: Any) -> Fragment | None:
    try:
        fragment = Fragment.read(text)
        fragment.key_value()
    except InvalidReference:
        return None
    return fragment


def _round(
    request: HttpRequest, asked: dict[int, Fragment]
) -> tuple[dict[int, Answer], dict[int, Fragment]]:
    """Return answers, and what has moved to another channel, about which is asked again."""
    user = getattr(request, "user", AnonymousUser())
    names = {fragment.channel for fragment in asked.values()}
    rights = permissions.answers(user, names)
    may = {grant.name for grant in rights.granted}
    known = places(may)
    objects = _load([one for one in asked.values() if one.channel in may], user)
    answered: dict[int, Answer] = {}
    moved: dict[int, Fragment] = {}
    for n, fragment in asked.items():
        if fragment.channel not in may:
            answered[n] = LATER if fragment.channel in rights.unknown else DENIED
            continue
        instance = objects.get((fragment.model, fragment.hidden, fragment.key_value()))
        channel: str | None = fragment.channel
        if instance is not None and not fragment.own_channel:
            try:
                channel = channel_of(instance)
            except Exception:  # the others are shown all the same
                logger.exception("%r can't say its channel.", instance)
                got_request_exception.send(sender=None, request=request)
                answered[n] = LATER
                continue
        if instance is None or channel is None:
            answered[n] = GONE
        elif channel != fragment.channel:
            moved[n] = replace(fragment, channel=channel)
        else:
            answered[n] = _shown(request, fragment, known[channel], instance)
    return answered, moved


def _load(fragments: Iterable[Fragment], user: Any) -> dict[tuple[str, bool, Any], models.Model]:
    keys: dict[tuple[str, bool], set[Any]] = {}
    classes: dict[str, type[models.Model]] = {}
    for fragment in fragments:
        keys.setdefault((fragment.model, fragment.hidden), set()).add(fragment.key_value())
        classes[fragment.model] = fragment.model_class()
    return {
        (label, hidden, pk): instance
        for (label, hidden), wanted in keys.items()
        for pk, instance in load(classes[label], wanted, user, hidden=hidden).items()
    }


def _shown(
    request: HttpRequest, fragment: Fragment, place: Place, instance: models.Model
) -> Answer:
    try:
        html = render(fragment, instance, request)
    except InvalidReference:
        return OLD
    except Exception:
        logger.exception("%s could not be shown again.", fragment.template)
        got_request_exception.send(sender=None, request=request)
        return LATER
    said = attributes(fragment, place, html)
    if said.pop("tag") != fragment.tag:
        return {**said, "html": html}
    return said
