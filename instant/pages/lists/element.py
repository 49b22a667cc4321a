"""A list as an element of a page."""

from __future__ import annotations

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.asyncio import async_unsafe
from django.utils.html import format_html, format_html_join
from django.utils.http import escape_leading_slashes
from django.utils.safestring import SafeString, mark_safe

from instant import conf
from instant.pages import privacy
from instant.pages.lists.description import row_name
from instant.pages.lists.showing import Shown, plain, show

__all__ = ["element"]

_ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


@async_unsafe(
    "A live list asks the database and the message server, which would hold up the event loop of "
    "this thread. Render the page in another: “await sync_to_async(render)(request, …)”."
)
def element(
    request: HttpRequest | None,
    queryset: Any,
    template: str,
    *,
    row: str = "",
    public: bool = False,
    tag: str = "instant-list",
    _names_page: bool = True,
    **attributes: Any,
) -> SafeString:
    """See ``instant.html.livelist()``; ``_names_page`` is False where others get the element."""
    how: dict[str, Any] = {"template": template, "name": row or row_name(queryset)}
    if request is None:  # a mail, a feed
        return _joined(plain(queryset, how, None))
    how |= {"language": translation.get_language(), "zone": timezone.get_current_timezone_name()}
    if public:
        how["public"] = True
    shown = show(
        queryset,
        how,
        user=getattr(request, "user", None),
        request=None if public else request,
        tells_state=public or privacy.mark(request),
    )
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    # A page that looks for its list anew finds it also where it is one that follows nothing.
    said = (
        json.dumps(_config(request, shown, _names_page), separators=(",", ":"))
        if shown.channel
        else ""
    )
    names["data-instant-list"] = said
    if not shown.rows:
        names["data-instant-empty"] = True
    return format_html(
        "<{}{}>{}{}</{}>", tag, flatatt(names), _joined(shown.rows), _state(shown), tag
    )


def _config(request: HttpRequest, shown: Shown, names_page: bool) -> dict[str, Any]:
    """Return what the page's script needs to know; ``page`` has the list, and a new reference."""
    return {
        "channel": shown.channel,
        "ref": shown.reference,
        "rows": reverse("instant:rows"),
        "life": conf.current().token_life,
        # Of “//other.example” browsers make the address of another site.
        **(
            {"page": escape_leading_slashes(request.get_full_path())}
            if names_page and request.method == "GET"
            else {}
        ),
    }


def _state(shown: Shown) -> SafeString:
    if shown.state is None:
        return mark_safe("")
    states = {shown.channel: shown.state}
    text = json.dumps(states, cls=DjangoJSONEncoder, separators=(",", ":")).translate(_ESCAPES)
    return format_html(
        '<script type="application/json" data-instant-state>{}</script>',
        mark_safe(text),  # noqa: S308  it has no “<” any more
    )


def _joined(rows: Any) -> SafeString:
    # Templates have made them, and their engines have escaped what is to be escaped.
    return format_html_join("", "{}", ((mark_safe(html),) for html in rows.values()))  # noqa: S308
