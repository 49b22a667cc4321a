"""Channels by the thousand: namespaces that an app declares in its ``realtime.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from django.urls.converters import get_converters

from instant.deliveries import Delivery, Recoverable
from instant.exceptions import InvalidChannelName
from instant.names import USER_NAMESPACE, check_name

__all__ = ["Namespace", "NamespaceError", "NoChannelMatch", "find_namespace", "registered"]

_NAME = re.compile(r"[-a-zA-Z0-9_.]{2,}")
"""Centrifugo's grammar of namespaces (its ``internal/config/validate.go``)."""

_PARAMETER = re.compile(r"<(?:(?P<converter>[^>:]+):)?(?P<parameter>[^>]+)>")

_registry: list[type[Namespace]] = []


class NamespaceError(ValueError):
    """A declaration that can't work; the system check instant.E003 shows it."""


class NoChannelMatch(InvalidChannelName):
    """Arguments that make no channel of the namespace, as NoReverseMatch is for URLs."""


class Namespace:
    """
    A kind of channel, declared once and compiled into the server's config.

    Subclass it in an app's ``realtime.py``. ``pattern`` takes path converters as ``path()``
    does, and what they match is handed to the methods. A method may be ``async def``.

    Everything is refused that a subclass does not allow: the methods below answer False.
    """

    name: ClassVar[str]
    """The part before the ``:``; at least two of letters, digits, ``-``, ``_`` and ``.``."""
    pattern: ClassVar[str]
    """The part behind it, for example ``<int:pk>``."""
    delivery: ClassVar[Delivery] = Recoverable()
    presence: ClassVar[bool] = False
    """Whether the server keeps who is subscribed."""
    join_leave: ClassVar[bool] = False
    """Whether subscribers are told who comes and goes."""
    authorize: ClassVar[Literal["token", "open"]] = "token"
    """``token``: Django signs each subscription; ``open``: everybody may, unasked."""
    client_publish: ClassVar[Literal["nobody", "subscribers"]] = "nobody"
    """Who may publish from the browser, past Django."""

    _route: ClassVar[_Route]

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not abstract:
            _registry.append(cls)

    @classmethod
    def channel(cls, **kwargs: Any) -> str:
        """Return the name of a channel; raises NoChannelMatch for other arguments."""
        return f"{cls.name}:{cls._compiled().build(cls, kwargs)}"

    @classmethod
    def parse(cls, channel: str) -> dict[str, Any] | None:
        """Return the arguments that a channel's name is made of; None where it is not ours."""
        namespace, colon, rest = channel.partition(":")
        if not colon or namespace != cls.name:
            return None
        return cls._compiled().parse(rest)

    def can_subscribe(self, user: Any, **kwargs: Any) -> Any:  # noqa: ARG002  for subclasses
        """Tell whether the user (anonymous included) may receive what is published."""
        return False

    def can_subscribe_many(self, user: Any, many: Sequence[Mapping[str, Any]]) -> Any:
        """
        Return for each of many channels, given by its arguments, what can_subscribe() would.

        Override it where one query can answer for all.
        """
        return [self.can_subscribe(user, **kwargs) for kwargs in many]

    @classmethod
    def _compiled(cls) -> _Route:
        route = cls.__dict__.get("_route")
        if route is None:
            route = cls._route = _Route(cls.pattern)
        return route

    @classmethod
    def problems(cls) -> Iterator[str]:
        """Yield what is wrong with the declaration."""
        where = f"{cls.__module__}.{cls.__qualname__}"
        name = getattr(cls, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield (
                f"{where}.name must be two or more of letters, digits, “-”, “_” and “.”, "
                f"not {name!r}."
            )
        elif name == USER_NAMESPACE:
            yield f"{where}.name: {name!r} holds the users' own channels. Take another name."
        if not isinstance(getattr(cls, "pattern", None), str):
            yield f"{where} has no pattern, for example '<int:pk>'."
        else:
            try:
                cls._compiled()
            except NamespaceError as exc:
                yield f"{where}.pattern: {exc}"
        if not isinstance(cls.delivery, Delivery):
            yield f"{where}.delivery must be one of instant.deliveries, not {cls.delivery!r}."
        for option, values in (
            ("authorize", ("token", "open")),
            ("client_publish", ("nobody", "subscribers")),
            ("presence", (True, False)),
            ("join_leave", (True, False)),
        ):
            if getattr(cls, option) not in values:
                listed = " or ".join(map(repr, values))
                yield f"{where}.{option} must be {listed}, not {getattr(cls, option)!r}."


class _Route:
    """A pattern with path converters, both ways."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._parts: list[str | tuple[str, Any]] = []
        converters = get_converters()
        source, end = "", 0
        names: set[str] = set()
        for match in _PARAMETER.finditer(pattern):
            literal, end = pattern[end : match.start()], match.end()
            kind, name = match["converter"] or "str", match["parameter"]
            if not name.isidentifier() or name in names:
                raise NamespaceError(f"{name!r} is no name for a parameter, or stands there twice.")
            if kind not in converters:
                known = ", ".join(sorted(converters))
                raise NamespaceError(f"there is no converter {kind!r}; known are {known}.")
            if kind == "path":
                raise NamespaceError("'path' takes “/”, which Centrifugo reserves; take 'str'.")
            names.add(name)
            self._parts += [literal, (name, converters[kind])]
            source += f"{re.escape(literal)}(?P<{name}>{converters[kind].regex})"
        self._parts.append(pattern[end:])
        source += re.escape(pattern[end:])
        literals = "".join(part for part in self._parts if isinstance(part, str))
        if set(literals) & set("<>"):
            raise NamespaceError(f"{pattern!r} has a “<” or “>” without its other half.")
        try:
            check_name(f"xx:{literals}x")
        except InvalidChannelName as exc:
            raise NamespaceError(f"no channel can match {pattern!r}: {exc}") from exc
        self._names = names
        self._regex = re.compile(source)

    def parse(self, text: str) -> dict[str, Any] | None:
        match = self._regex.fullmatch(text)
        if match is None:
            return None
        found = {}
        for part in self._parts:
            if not isinstance(part, str):
                name, converter = part
                try:
                    found[name] = converter.to_python(match[name])
                except ValueError:
                    return None
        # order:042 is another channel than order:42, to which nobody publishes.
        return found if self._text(found) == text else None

    def _text(self, kwargs: Mapping[str, Any]) -> str:
        return "".join(
            part if isinstance(part, str) else str(part[1].to_url(kwargs[part[0]]))
            for part in self._parts
        )

    def build(self, cls: type[Namespace], kwargs: Mapping[str, Any]) -> str:
        cause: Exception | None = None
        if set(kwargs) == self._names:
            try:
                text = self._text(kwargs)
                check_name(f"{cls.name}:{text}")
            except (ValueError, TypeError, AttributeError) as exc:
                cause = exc
            else:
                if self.parse(text) is not None:
                    return text
        given = f"keyword arguments {dict(kwargs)!r}" if kwargs else "no arguments"
        raise NoChannelMatch(
            f"{cls.__qualname__}.channel() with {given} makes no channel: "
            f"its pattern is {self.pattern!r}."
        ) from cause


def registered() -> list[type[Namespace]]:
    """Return all declared namespaces, in the order of their declaration."""
    return list(_registry)


def find_namespace(channel: str) -> tuple[type[Namespace], dict[str, Any]] | None:
    """Return the namespace that a channel's name belongs to, with its arguments."""
    for cls in _registry:
        kwargs = cls.parse(channel)
        if kwargs is not None:
            return cls, kwargs
    return None
