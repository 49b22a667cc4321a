"""HTML that is the same for everybody, rendered once and sent to the pages that listen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from asgiref.sync import sync_to_async
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone as django_timezone
from django.utils import translation
from django.utils.asyncio import async_unsafe

from instant.producers import apublish, publish
from instant.publishing.payload import HTML
from instant.publishing.publication import Publication

__all__ = ["Action", "asend_html", "send_html"]

Action = Literal["replace", "update", "append", "prepend", "before", "after", "remove", "morph"]
"""What pages do with the HTML and the elements that it is for."""

_ACTIONS = get_args(Action)


@async_unsafe(
    "send_html() would hold up the event loop of this thread until the template is rendered and "
    "the server has answered. Use “await asend_html(…)”."
)
def send_html(
    channel: str,
    template: str | Sequence[str] | None,
    context: Mapping[str, Any] | None = None,
    *,
    target: str,
    action: Action = "update",
    language: str | None = None,
    timezone: str | tzinfo | None = None,
    bucket: str = "",
    site: str | None = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,
    on_commit: bool = True,
    using: str | None = None,
) -> Publication:
    """
    Render a template now, and have it shown by pages with ``{% instant_source channel %}``.

    ``target`` is a CSS selector: with each element of the page that it matches is done what
    ``action`` says. ``update`` replaces its content and ``replace`` itself, ``append``,
    ``prepend``, ``before`` and ``after`` add to it, ``remove`` takes it away, for which the
    template is None, and ``morph`` changes only what differs.

    It is the same for everybody who may read the channel: the template gets no request and no
    user. Language and time zone are ``LANGUAGE_CODE`` and ``TIME_ZONE`` unless given, whatever is
    active in this thread.

    Anything else is as for publish(), whose other errors it raises, and so does the template:
    ``bucket`` and ``site`` are in the message that code of pages gets.
    ``@before_send`` is not asked. Raises ValueError for an action, a language or a time zone that
    there is none of, and without a target.
    """
    data = _data(template, context, target, action, language, timezone)
    return publish(
        channel,
        data=data,
        event_class=HTML,
        bucket=bucket,
        site=site,
        idempotency_key=idempotency_key,
        timeout=timeout,
        on_commit=on_commit,
        using=using,
    )


async def asend_html(
    channel: str,
    template: str | Sequence[str] | None,
    context: Mapping[str, Any] | None = None,
    *,
    target: str,
    action: Action = "update",
    language: str | None = None,
    timezone: str | tzinfo | None = None,
    bucket: str = "",
    site: str | None = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,  # noqa: ASYNC109
) -> Publication:
    """See send_html(); the template is rendered in a thread. It never waits for a commit."""
    data = await sync_to_async(_data)(template, context, target, action, language, timezone)
    return await apublish(
        channel,
        data=data,
        event_class=HTML,
        bucket=bucket,
        site=site,
        idempotency_key=idempotency_key,
        timeout=timeout,
    )


def _data(
    template: str | Sequence[str] | None,
    context: Mapping[str, Any] | None,
    target: Any,
    action: str,
    language: str | None,
    timezone: str | tzinfo | None,
) -> dict[str, str]:
    """Return what the script of the page reads."""
    if action not in _ACTIONS:
        raise ValueError(f"action is one of {', '.join(_ACTIONS)}, not {action!r}.")
    if not isinstance(target, str) or not target.strip():
        raise ValueError(f'target is a CSS selector such as "#orders", not {target!r}.')
    if (template is None) != (action == "remove"):
        needs = "takes no template: None" if action == "remove" else "needs a template"
        raise ValueError(f"send_html() with the action {action!r} {needs}.")
    said = {"target": target, "action": action}
    if template is None:
        return said
    return {"html": _rendered(template, context, language, timezone), **said}


def _rendered(
    template: str | Sequence[str],
    context: Mapping[str, Any] | None,
    language: str | None,
    timezone: str | tzinfo | None,
) -> str:
    if language is not None and not translation.check_for_language(language):
        raise ValueError(f"language is one of Django's, such as “de”, not {language!r}.")
    zone = django_timezone.get_default_timezone() if timezone is None else _zone(timezone)
    named = settings.LANGUAGE_CODE if language is None else language
    with translation.override(named), django_timezone.override(zone):
        return render_to_string(template, None if context is None else dict(context))


def _zone(timezone: str | tzinfo) -> tzinfo:
    if isinstance(timezone, tzinfo):
        return timezone
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise ValueError(f"timezone is one such as “Europe/Zurich”, not {timezone!r}.") from exc
