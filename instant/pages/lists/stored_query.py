"""
A query as a text in our table, and back.

Django's own form of it is a pickle. It is signed with the site's SECRET_KEY, and looked at only
if the signature is ours: whoever can write to the table can't have code run. It never leaves
the database.
"""

from __future__ import annotations

import base64
import pickle
from typing import Any

import django
from django.apps import apps
from django.core import signing

__all__ = ["Unreadable", "pack", "unpack"]

_SALT = "instant.pages.lists.query"
_LONGEST = 200_000


class Unreadable(Exception):
    """What another version has written, or somebody else."""


def pack(queryset: Any) -> str:
    """Return the text of a queryset; raise ValueError where it can't be kept."""
    label = queryset.model._meta.label  # noqa: SLF001  Django's documented API
    try:
        what = (
            django.get_version(),
            label,
            queryset.query,
            queryset._prefetch_related_lookups,  # noqa: SLF001
        )
        text = base64.b64encode(pickle.dumps(what)).decode()
    except Exception as exc:
        raise ValueError(f"This queryset of {label} can't be kept for a live list: {exc}") from exc
    if len(text) > _LONGEST:
        raise ValueError(
            f"The query of this list of {label} is too long: filter with a subquery instead of "
            "thousands of values."
        )
    return signing.Signer(salt=_SALT).sign(text)


def unpack(text: str, database: str) -> Any:
    """Return the queryset of a text; raise Unreadable where it isn't ours, or not of this day."""
    try:
        known = signing.Signer(salt=_SALT).unsign(text)
        version, label, query, prefetched = pickle.loads(base64.b64decode(known))  # noqa: S301
        queryset = apps.get_model(label)._base_manager.using(database).all()  # noqa: SLF001
    except Exception as exc:
        raise Unreadable(f"The query of a live list can't be read: {exc}") from exc
    if version != django.get_version():
        raise Unreadable("Another version of Django has written the query.")
    queryset.query = query
    queryset._prefetch_related_lookups = prefetched  # noqa: SLF001
    return queryset
