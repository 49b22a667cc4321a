"""Web push: ``INSTANT["PUSH"]``, read."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

__all__ = ["DEFAULT_PUSH", "Push", "parse_push"]

DEFAULT_PUSH: Mapping[str, Any] = {
    "PRIVATE_KEY": None,
    "CONTACT": None,
    "SERVICES": (),
    "PER_USER": 10,
    "DELAY": 0,
    "UNLESS_PRESENT": False,
    "TTL": 86_400,
    "TIMEOUT": 10,
    "ICON": None,
}
"""What holds where ``INSTANT["PUSH"]`` says nothing else; key and contact have to be said."""

_LEAST = {"PER_USER": 1, "DELAY": 0, "TTL": 60, "TIMEOUT": 1}
_MOST = {"PER_USER": 100, "DELAY": 86_400, "TTL": 28 * 86_400, "TIMEOUT": 60}
_KEY_BYTES = 32
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256; a private key is a number below it."""
_HOST = re.compile(r"(?:\*\.)?(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\.)+[a-z][-a-z0-9]*[a-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """``INSTANT["PUSH"]``, read."""

    private_key: str = field(repr=False)
    """The VAPID key: 32 bytes in URL-safe Base64, as ``manage.py vapidkeys`` prints it."""
    contact: str
    """Whom a push service tells of trouble: a ``mailto:`` or ``https:`` address."""
    services: tuple[str, ...]
    """Hosts of push services beside the known ones; ``*.example.com`` for those below one."""
    per_user: int
    """How many browsers of one user are notified; the oldest give way."""
    delay: int
    """Seconds until a notification that nobody has read is pushed."""
    unless_present: bool
    """Whether nothing is pushed to a user who has a page open."""
    ttl: int
    """Seconds for which it is tried, and for which a push service keeps what it can't deliver."""
    timeout: int
    """Seconds for one request to a push service, all told."""
    icon: str | None
    """The picture beside a notification: an address, or a path in the static files."""


def parse_push(given: object) -> Push | None:
    """Read ``INSTANT["PUSH"]``: None, or what differs from the default. Raises ValueError."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        # Without the value, which may have the key.
        raise ValueError("must be a dict or None")  # noqa: TRY004  a setting's value
    unknown = sorted(set(given) - set(DEFAULT_PUSH), key=str)
    if unknown:
        known = ", ".join(sorted(DEFAULT_PUSH))
        raise ValueError(f"has the unknown key {unknown[0]!r}. Known are: {known}")
    values = {**DEFAULT_PUSH, **given}
    for key, least in _LEAST.items():
        number = values[key]
        is_whole = isinstance(number, int) and not isinstance(number, bool)
        if not is_whole or not least <= number <= _MOST[key]:
            raise ValueError(
                f"is wrong: {key!r} must be a whole number from {least} to {_MOST[key]:,}, "
                f"not {number!r}"
            )
    if not isinstance(values["UNLESS_PRESENT"], bool):
        raise ValueError("is wrong: 'UNLESS_PRESENT' must be True or False")  # noqa: TRY004
    icon = values["ICON"]
    if icon is not None and (not isinstance(icon, str) or not icon):
        raise ValueError(f"is wrong: 'ICON' must be a path or an address, not {icon!r}")
    return Push(
        private_key=_key(values["PRIVATE_KEY"]),
        contact=_contact(values["CONTACT"]),
        services=_services(values["SERVICES"]),
        per_user=values["PER_USER"],
        delay=values["DELAY"],
        unless_present=values["UNLESS_PRESENT"],
        ttl=values["TTL"],
        timeout=values["TIMEOUT"],
        icon=icon,
    )


def _key(given: Any) -> str:
    """Return the key; neither a message nor a traceback's locals may have a wrong one."""
    found = given.strip().rstrip("=") if isinstance(given, str) else ""
    try:
        raw = base64.b64decode(found + "=" * (-len(found) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES or not 0 < int.from_bytes(raw, "big") < _ORDER:
        del given, found, raw
        raise ValueError(
            "is wrong: 'PRIVATE_KEY' must be a key as “manage.py vapidkeys” prints it"
        ) from None
    return found


def _contact(given: Any) -> str:
    text = given if isinstance(given, str) else ""
    parts = urlsplit(text)
    is_mail = parts.scheme == "mailto" and "@" in parts.path.strip("@")
    if not (is_mail or (parts.scheme == "https" and parts.hostname)) or not text.isprintable():
        raise ValueError(
            "is wrong: 'CONTACT' must be an address such as “mailto:ops@example.com”, by which a "
            f"push service reaches you, not {given!r}"
        )
    return text


def _services(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list | tuple):
        raise ValueError(f"is wrong: 'SERVICES' must be a list of hosts, not {given!r}")  # noqa: TRY004
    for host in given:
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise ValueError(
                "is wrong: 'SERVICES' must be hosts such as “push.example.com” or "
                f"“*.push.example.com”, not {host!r}"
            )
    return tuple(given)
