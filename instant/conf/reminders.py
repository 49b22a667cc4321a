"""E-mails about notifications that stay unread: ``INSTANT["REMINDERS"]``, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["DEFAULT_REMINDERS", "Reminders", "parse_reminders"]

DEFAULT_REMINDERS: Mapping[str, Any] = {
    "AFTER": 30,
    "SEND": None,
    "WANTED": None,
    "LANGUAGE": None,
    "UNSUBSCRIBE": None,
    "URL": None,
}
"""What holds where ``INSTANT["REMINDERS"]`` says nothing else."""

_LONGEST = 30 * 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminders:
    """``INSTANT["REMINDERS"]``, read."""

    after: int
    """Minutes after which a notification that is unread is reminded of."""
    send: str | None
    """Dotted path of what gets user and notifications; None: an e-mail of ours."""
    wanted: str | None
    """Dotted path of what gets a user and tells whether they want any."""
    language: str | None
    """Dotted path of what gets a user and returns a code such as ``"de"``, or None."""
    unsubscribe: str | None
    """Dotted path of what gets a user and returns where they can opt out."""
    url: str | None
    """The site's address, for links in mails."""


def parse_reminders(given: object) -> Reminders | None:
    """Read ``INSTANT["REMINDERS"]``: None, or what differs from the default. Raises ValueError."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ValueError(f"must be a dict or None, not {given!r}")  # noqa: TRY004  a setting's value
    unknown = sorted(set(given) - set(DEFAULT_REMINDERS), key=str)
    if unknown:
        known = ", ".join(sorted(DEFAULT_REMINDERS))
        raise ValueError(f"has the unknown key {unknown[0]!r}. Known are: {known}")
    values = {**DEFAULT_REMINDERS, **given}
    after = values["AFTER"]
    is_whole = isinstance(after, int) and not isinstance(after, bool)
    if not is_whole or not 0 < after <= _LONGEST:
        raise ValueError(
            f"is wrong: 'AFTER' must be a whole number of minutes from 1 to {_LONGEST:,}, "
            f"not {after!r}"
        )
    for key in ("SEND", "WANTED", "LANGUAGE", "UNSUBSCRIBE"):
        path = values[key]
        if path is not None and (not isinstance(path, str) or "." not in path):
            raise ValueError(f"is wrong: {key!r} must be a dotted path or None, not {path!r}")
    return Reminders(
        after=after,
        send=values["SEND"],
        wanted=values["WANTED"],
        language=values["LANGUAGE"],
        unsubscribe=values["UNSUBSCRIBE"],
        url=_url(values["URL"]),
    )


def _url(given: Any) -> str | None:
    if given is None:
        return None
    parts = urlsplit(given if isinstance(given, str) else "")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            f"is wrong: 'URL' must be the site's address, such as “https://example.com”, not "
            f"{given!r}"
        )
    return str(given).rstrip("/")
