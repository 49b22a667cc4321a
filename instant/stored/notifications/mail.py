"""The e-mail that reminds of what is unread, from templates that a project may replace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

from django.core.mail import EmailMultiAlternatives
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from django.utils.translation import gettext, ngettext

from instant import conf
from instant.conf.reminders import Reminders

__all__ = ["send"]

_SUBJECT, _TEXT, _HTML = (
    "instant/reminder_subject.txt",
    "instant/reminder.txt",
    "instant/reminder.html",
)


def send(
    user: Any,
    notifications: Sequence[Mapping[str, Any]],
    settings: Reminders,
    *,
    has_more: bool = False,
) -> None:
    """Send it; nothing where the user has no address. What keeps it from leaving is raised."""
    field = getattr(type(user), "get_email_field_name", None)
    address = getattr(user, field() if field is not None else "email", "")
    if not address:
        return
    unsubscribe = settings.unsubscribe and import_string(settings.unsubscribe)(user)
    unsubscribe = _whole(unsubscribe or "", settings)
    count = len(notifications)
    context = {
        "user": user,
        "site": conf.site_name(),
        "notifications": [
            {**one, "link": _whole(one.get("url", ""), settings)} for one in notifications
        ],
        "count": count,
        "has_more": has_more,
        "unsubscribe": unsubscribe,
        "texts": {
            "subject": ngettext(
                "%(count)d unread notification", "%(count)d unread notifications", count
            )
            % {"count": count},
            "more": gettext("There are more on the site."),
            "unsubscribe": gettext("No more of these e-mails:"),
        },
    }
    subject = " ".join(render_to_string(_SUBJECT, context).split())
    text = render_to_string(_TEXT, context).strip()
    mail = EmailMultiAlternatives(subject, f"{text}\n", to=[address])
    if unsubscribe.startswith("http"):
        mail.extra_headers["List-Unsubscribe"] = f"<{unsubscribe}>"
    with suppress(TemplateDoesNotExist):  # only where the project has one
        mail.attach_alternative(render_to_string(_HTML, context), "text/html")
    mail.send()


def _whole(url: str, settings: Reminders) -> str:
    """Return an address that a mail can link to; empty where nobody knows the site's."""
    if not url or url.startswith(("http://", "https://")):
        return url
    return "" if settings.url is None else urljoin(f"{settings.url}/", url)
