"""Channel names: their grammar, and every user's own channel."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from functools import lru_cache
from typing import Any

from django.utils.functional import LazyObject
from django.utils.translation import gettext_noop as _

from instant.exceptions import InvalidChannelName

__all__ = [
    "LISTENERS_CHANNEL",
    "OUR_NAMESPACE",
    "USER_NAMESPACE",
    "check_name",
    "check_names",
    "check_row_name",
    "has_users",
    "namespace_of",
    "user_channel",
    "user_channels",
    "user_key",
]

USER_NAMESPACE = "user"
"""Every user's own channel is in this namespace; the server's config always declares it."""

OUR_NAMESPACE = "instant"
"""The namespace of channels of Instant's own; declared where one of them is used."""

LISTENERS_CHANNEL = f"{OUR_NAMESPACE}:messages"
"""Copies of what is published to channels that a pattern of ``@on_message`` matches."""

MAX_BYTES = 255
"""Centrifugo's ``channel.max_length`` (default): a longer name is error 107 for clients."""

# Printable ASCII without the characters that Centrifugo reserves: * & / (centrifugal.dev,
# "Channels"); its namespaces are [-a-zA-Z0-9_.]{2,}. The server's API would publish to any
# other name without a word, into a channel that no client can subscribe to.
PLAIN = r"!\"#%'()+,\-.0-9;<=>?@A-Z\[\\\]^_`a-z{|}~"
_NAME = re.compile(rf"\$?(?:[-a-zA-Z0-9_.]{{2,}}:[{PLAIN}:]+|[{PLAIN}]+)")
_PLAIN_NAMES = re.compile(rf"(?:\$?[{PLAIN}]+\n)*+\$?[{PLAIN}]+")
_NAMES = re.compile(rf"(?:{_NAME.pattern}\n)*+{_NAME.pattern}")
_ROW_NAME = re.compile(rf"\$?[{PLAIN.replace('#', '')}]+")


def check_name(name: str) -> None:
    """Raise InvalidChannelName where no client could subscribe to the name."""
    if not isinstance(name, str):
        raise TypeError(f"A channel is a str, not {type(name).__name__}: {name!r}")
    if len(name) > MAX_BYTES or _NAME.fullmatch(name) is None:
        raise _explained(name)


def check_names(names: Sequence[str]) -> None:
    """Raise as check_name() does for the first bad one, many times as fast for many good ones."""
    if len(names) > 1:
        try:
            joined = "\n".join(names)
        except TypeError:
            joined = ""
        # A line break is in no good name, so as many as there are seams prove the seams.
        if (
            joined.count("\n") == len(names) - 1
            and max(map(len, names)) <= MAX_BYTES
            and (_NAMES if ":" in joined else _PLAIN_NAMES).fullmatch(joined)
        ):
            return
    for name in names:
        check_name(name)


def check_row_name(name: str, namespaces: Container[str] = ()) -> None:
    """
    Raise InvalidChannelName where the name can't be that of a Channel row.

    ``namespaces`` are those in which rows may be.
    """
    namespace, colon, rest = name.removeprefix("$").partition(":")
    bare = rest if colon and namespace in namespaces else name
    if len(name) <= MAX_BYTES and _ROW_NAME.fullmatch(bare) and (bare is name or bare[0] != "$"):
        return
    if ":" in bare:
        raise InvalidChannelName(
            _(
                "%(name)r has a “:”. What stands before it is a namespace, and rows may be in one "
                "only where it says “rows = True”. Use %(right)r."
            ),
            name=name,
            right=_suggest(name),
        )
    if "#" in bare:
        raise InvalidChannelName(
            _("%(name)r has a “#”, which the server reads as a list of users. Use %(right)r."),
            name=name,
            right=_suggest(name),
        )
    raise _explained(name)


def namespace_of(name: str) -> str:
    """Return the namespace that the server finds in a channel's name, ``""`` for none."""
    head, colon, _ = name.partition(":")
    return head.removeprefix("$") if colon else ""


def user_channel(user: Any) -> str:
    """
    Return the name of the user's own channel, ``user:<pk>``.

    Its owner may always subscribe to it and nobody else ever may. Raises ValueError for an
    anonymous or unsaved user, and TypeError for an object of another model.
    """
    if getattr(user, "is_anonymous", False) or getattr(user, "pk", None) is None:
        raise ValueError(f"{user!r} has no channel: only saved users have one.")
    name = f"{USER_NAMESPACE}:{user_key(user)}"
    check_name(name)
    return name


def user_channels(users: Iterable[Any]) -> list[str]:
    """
    Return the names of many users' own channels, for broadcast().

    ``users`` are users, their primary keys, or a queryset of users, which is asked for its keys
    only. Raises ValueError for one who is anonymous or unsaved, and TypeError for an object of
    another model or a text.
    """
    if isinstance(users, str | bytes):
        raise TypeError(f"user_channels() takes users or a list of their keys, not {users!r}.")
    if getattr(users, "_iterable_class", None) is not None:
        users = _keys(users)
    keys = list(users)
    kinds = {type(one): one for one in keys}
    # The class of request.user, which is lazy, has no pk and says nothing of its model.
    if any(issubclass(kind, LazyObject) for kind in kinds):
        keys = [user_key(user) for user in keys]
    elif any(hasattr(kind, "pk") for kind in kinds):
        for one in kinds.values():
            user_key(one)  # raises for all of its kind
        keys = [getattr(user, "pk", user) for user in keys]
    if None in keys:
        raise ValueError("Somebody among them has no channel: only saved users have one.")
    names = [f"{USER_NAMESPACE}:{key}" for key in keys]
    check_names(names)
    return names


def user_key(user: Any) -> Any:
    """
    Return the primary key of a user, or what was given where that is no object: a key.

    Raises TypeError for an object of another model. Its key may be that of some user, who would
    get what was meant for nobody.
    """
    if not hasattr(user, "pk"):
        return user
    meta = getattr(user, "_meta", None)
    if meta is not None and not has_users(meta.concrete_model):
        raise TypeError(f"The {meta.label} with the key {user.pk!r} is no user.")
    return user.pk


def has_users(model: Any) -> bool:
    """
    Tell whether a model's objects are users, or share their keys by inheritance.

    By the models' labels: in a migration they have classes of their own.
    """
    # This module serves before Django is set up, too.
    from django.contrib.auth import get_user_model  # noqa: PLC0415

    return _share_keys(model, get_user_model())


@lru_cache(maxsize=64)  # each user of a long list asks
def _share_keys(model: Any, other: Any) -> bool:
    """Tell whether one of the models is the other, or inherits its table."""
    one, other = (given._meta.concrete_model for given in (model, other))  # noqa: SLF001
    return other._meta.label in _labels(one) or one._meta.label in _labels(other)  # noqa: SLF001


def _labels(model: Any) -> set[str]:
    """Return the labels of a model and of those that it inherits from."""
    metas = (getattr(base, "_meta", None) for base in model.__mro__)
    return {meta.label for meta in metas if meta is not None and not meta.abstract}


def _keys(queryset: Any) -> Any:
    """Return the primary keys, where the queryset has users and not values of theirs."""
    # This module serves before Django is set up, too.
    from django.db.models.query import ModelIterable  # noqa: PLC0415

    if queryset._iterable_class is not ModelIterable:  # noqa: SLF001
        return queryset
    if not has_users(queryset.model):
        raise TypeError(
            f"user_channels() takes users, not a queryset of {queryset.model.__name__}."
        )
    return queryset.values_list("pk", flat=True)


def _suggest(name: str) -> str:
    """Return a valid name that is near to the given one."""
    right = re.sub(r"[^!-~]+|[*&/:#]+", "-", name.removeprefix("$")).replace("$", "").strip("-")
    right = ("$" if name.startswith("$") else "") + (right or "news")
    return right if _ROW_NAME.fullmatch(right) and len(right) <= MAX_BYTES else "news"


def _with_dollar(name: str) -> str:
    right = "$" + name.replace("$", "")
    return right if _NAME.fullmatch(right) else "$news"


def _explained(name: str) -> InvalidChannelName:
    """Return the error that says what is wrong with a name, and what would be right."""
    if not name.removeprefix("$"):
        return InvalidChannelName(_("A channel needs a name, for example 'news' or '$staff'."))
    if len(name) > MAX_BYTES:
        return InvalidChannelName(
            _("%(begin)r… has %(length)d characters; a name has at most %(most)d bytes."),
            begin=name[:40],
            length=len(name),
            most=MAX_BYTES,
        )
    wrong = _wrong_character(name)
    if wrong is not None:
        template, character = wrong
        right = _suggest(name)
        return InvalidChannelName(template, name=name, character=character, right=right)
    if "$" in name[1:]:
        return InvalidChannelName(
            _(
                "%(name)r has a “$” inside; it marks a private channel and stands first. "
                "Use %(right)r."
            ),
            name=name,
            right=_with_dollar(name),
        )
    return InvalidChannelName(
        _(
            "%(name)r: the namespace %(namespace)r before the “:” needs at least two characters "
            "of letters, digits, “-”, “_” and “.”, and something must follow it."
        ),
        name=name,
        namespace=name.removeprefix("$").partition(":")[0],
    )


def _wrong_character(name: str) -> tuple[str, str] | None:
    """Return what is said of the first character that no name may have, and the character."""
    for character in name:
        if character in "*&/":
            text = _("%(name)r has “%(character)s”, which Centrifugo reserves. Use %(right)r.")
        elif character.isspace():
            text = _("%(name)r has white space. Use %(right)r.")
        elif not "!" <= character <= "~":
            text = _("%(name)r has %(character)r; names are ASCII. Use %(right)r.")
        else:
            continue
        return text, character
    return None
