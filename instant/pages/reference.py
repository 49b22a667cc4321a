"""
Signed references: what a page hands back when it asks again for a part of itself.

A reference says what to show and is no right: whoever has one is asked for theirs each time. It can
be read, since it is signed and not encrypted, and it can't be made or changed outside.
"""

from __future__ import annotations

import time
from typing import Any

from django.core import signing

from instant import conf
from instant.tenancy import current as tenancy

__all__ = ["InvalidReference", "read", "read_shared", "sign", "sign_shared"]


class InvalidReference(ValueError):
    """The reference has expired, is another tenant's, or was not made by this site."""


def sign(kind: str, what: dict[str, Any]) -> str:
    """
    Return a reference to what is described, of JSON's types, for pages of the current tenant.

    ``kind`` is who will read it: one of another kind is refused. It ends after ``TOKEN_LIFE``.
    """
    return signing.dumps(what, salt=_salt(kind), compress=True)


def read(kind: str, text: Any) -> dict[str, Any]:
    """Return what sign() was given; raise InvalidReference where the text can't be trusted."""
    if not isinstance(text, str):
        raise InvalidReference("A reference is a text.")
    try:
        found = signing.loads(text, salt=_salt(kind), max_age=conf.current().token_life)
    except signing.SignatureExpired:
        raise InvalidReference("The reference has expired.") from None
    except (signing.BadSignature, UnicodeEncodeError):  # half a character of JSON's
        raise InvalidReference("The reference is not one of this site's.") from None
    return dict(found)


def sign_shared(kind: str, what: dict[str, Any]) -> str:
    """
    Return a reference that is the same for everybody who asks within a ``TOKEN_LIFE``.

    So the address that has it is one that caches know. It ends between one ``TOKEN_LIFE`` and two.
    """
    life = conf.current().token_life
    until = (int(time.time()) // life + 2) * life
    return signing.Signer(salt=_salt(f"shared:{kind}")).sign_object([until, what], compress=True)


def read_shared(kind: str, text: Any) -> dict[str, Any]:
    """Return what sign_shared() was given; raise InvalidReference."""
    if not isinstance(text, str):
        raise InvalidReference("A reference is a text.")
    try:
        until, found = signing.Signer(salt=_salt(f"shared:{kind}")).unsign_object(text)
    except (signing.BadSignature, UnicodeEncodeError):
        raise InvalidReference("The reference is not one of this site's.") from None
    if time.time() > until:
        raise InvalidReference("The reference has expired.")
    return dict(found)


def _salt(kind: str) -> str:
    # A tenant's name has no colon, so that no two pairs are alike.
    return f"instant.pages:{tenancy.current()}:{kind}"
