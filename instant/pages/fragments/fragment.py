"""What a fragment is: template, object and names, and its reference in a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.functional import Promise

from instant.broadcasting.declaration import Declaration
from instant.broadcasting.receivers import listener_of
from instant.channels.names import check_name
from instant.exceptions import InstantConfigError
from instant.pages import reference
from instant.pages.reference import InvalidReference

__all__ = ["Fragment", "channel_of", "declaration_of", "digest", "plain"]

_KIND = "fragment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A part of a page; nothing of it comes from outside but signed."""

    template: str
    block: str = ""
    """Which {% live %} block of the template it is; the template itself without one."""
    model: str
    pk: str
    name: str
    """What the object is called in the template."""
    values: Mapping[str, Any] = field(default_factory=dict)
    channel: str
    own_channel: bool = False
    """Whether the tag names the channel, or the object says it."""
    events: str = ""
    language: str = ""
    zone: str = ""
    public: bool = False
    hidden: bool = False
    """Whether a view showed an object that its model's default manager leaves out."""
    tag: str = ""
    """A digest of the HTML that the page has."""

    @property
    def key(self) -> str:
        """The same in each answer to the same page, whatever the object is like."""
        named = (self.template, self.block, self.model, self.pk, self.name, self.public)
        return digest(json.dumps([*named, self.values], sort_keys=True))

    def model_class(self) -> type[models.Model]:
        """Return the model; raise InvalidReference where the project has none such any more."""
        try:
            found: type[models.Model] = apps.get_model(self.model)
        except LookupError:
            raise InvalidReference("The model of the reference is gone.") from None
        return found

    def key_value(self) -> Any:
        """Return the primary key as the database knows it."""
        try:
            return _meta(self.model_class()).pk.to_python(self.pk)
        except ValidationError:  # the model has another kind of key now
            raise InvalidReference("The key of the reference is none any more.") from None

    def signed(self) -> str:
        """Return the reference; of a public one it is the same in all pages for a while."""
        if self.public:
            return reference.sign_shared(_KIND, _short(replace(self, tag="")))
        return reference.sign(_KIND, _short(self))

    @classmethod
    def read(cls, text: Any, *, public: bool = False) -> Fragment:
        """Return the fragment of a reference; raise InvalidReference."""
        found = (reference.read_shared if public else reference.read)(_KIND, text)
        try:
            return cls(**found, public=public)
        except TypeError:  # signed by an earlier version
            raise InvalidReference("The reference is of another version.") from None


def _short(fragment: Fragment) -> dict[str, Any]:
    found = asdict(fragment)
    del found["public"]
    return {name: value for name, value in found.items() if value or name in {"pk", "name"}}


def digest(text: str) -> str:
    """Return a short digest of a text."""
    return blake2b(text.encode(), digest_size=9).hexdigest()


def declaration_of(model: type[models.Model]) -> Declaration | None:
    """Return what the model says of its broadcasting."""
    listener = listener_of(model)
    return None if listener is None else listener.declaration


def channel_of(instance: models.Model) -> str | None:
    """Return the first channel that is told of the object; None while there is none."""
    declaration = declaration_of(type(instance))
    if declaration is None:
        raise InstantConfigError(
            f"{type(instance).__name__} tells no channel when it changes: give it a class Instant "
            "with “channels”, say them with @broadcasts, or name one, {% live … channel=… %}."
        )
    found = declaration.channels(instance)
    first = found if isinstance(found, str) else next(iter(found or ()), None)
    if first is not None:
        check_name(first)
    return first


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as they come back with the reference; raise TypeError for others."""
    found = {}
    for name, given in values.items():
        value = str(given) if isinstance(given, Promise) else given
        if not isinstance(value, str | int | float | bool | None):
            raise TypeError(
                f"{{% live … {name}=… %}}: {type(value).__name__} is no text, number, True, False "
                "or None, which are what a reference can have. Take it from the object."
            )
        found[name] = "".join(value) if isinstance(value, str) else value  # no SafeString
    return found


def _meta(model: type[models.Model]) -> Any:
    return model._meta  # noqa: SLF001  Django's documented API
