"""Patterns of channel names, with Django's path converters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.urls.converters import (
    IntConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
    get_converters,
)

from instant.channels.names import MAX_BYTES, PLAIN, check_name
from instant.exceptions import InvalidChannelName

__all__ = ["NamespaceError", "NoChannelMatch", "Pattern"]

_PARAMETER = re.compile(r"<(?:(?P<converter>[^>:]+):)?(?P<parameter>[^>]+)>")


_CANONICAL: Mapping[type, str] = {
    IntConverter: "(?:0|[1-9][0-9]*)",
    SlugConverter: SlugConverter.regex,
    StringConverter: f"[{PLAIN}:]+",
    UUIDConverter: UUIDConverter.regex,
}
"""What stands in a name for values that Django's own converters make a text of with str()."""


class NamespaceError(ValueError):
    """A declaration that can't work; the system check instant.E003 shows it."""


class NoChannelMatch(InvalidChannelName):
    """Arguments that make no channel of the namespace, as NoReverseMatch is for URLs."""


class Pattern:
    """What stands behind the ``:``, with path converters as in ``path()``, both ways."""

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
        self.names = frozenset(names)
        """The arguments that it takes."""
        self._regex = re.compile(source)

    def parse(self, text: str) -> dict[str, Any] | None:
        """Return the arguments that the text is made of; None where it does not match."""
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

    def build_all(self, namespace: str, owner: str, values: Iterable[Any]) -> list[str]:
        """Return the names for many values, or for many mappings of arguments; see build()."""
        many = list(values)
        return self._quickly(namespace, many) or [
            f"{namespace}:{self.build(namespace, owner, self._arguments(owner, value))}"
            for value in many
        ]

    def _quickly(self, namespace: str, values: list[Any]) -> list[str] | None:
        """Return the names of a common pattern by one look at all of them; None where it fails."""
        if len(self._parts) != 3 or not values:  # noqa: PLR2004  text, parameter, text
            return None
        before, parameter, after = self._parts
        shape = _CANONICAL.get(type(parameter[1]))
        if shape is None:
            return None
        before = f"{namespace}:{before}"
        names = [f"{before}{value}{after}" for value in values]
        one = f"{re.escape(before)}{shape}{re.escape(str(after))}"
        # A line break is in no good name, so each line is one of them.
        joined = "\n".join(names)
        good = joined.count("\n") == len(names) - 1 and max(map(len, names)) <= MAX_BYTES
        return names if good and re.fullmatch(f"(?:{one}\n)*+{one}", joined) else None

    def _arguments(self, owner: str, value: Any) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        if len(self.names) == 1:
            return dict.fromkeys(self.names, value)
        raise TypeError(
            f"{owner}.channels() needs a dict of arguments for each channel, as its pattern "
            f"{self.pattern!r} has {len(self.names)}; not {value!r}."
        )

    def build(self, namespace: str, owner: str, kwargs: Mapping[str, Any]) -> str:
        """Return the text for the arguments; raise NoChannelMatch, which names the owner."""
        cause: Exception | None = None
        if set(kwargs) == self.names:
            try:
                text = self._text(kwargs)
                check_name(f"{namespace}:{text}")
            except (ValueError, TypeError, AttributeError) as exc:
                cause = exc
            else:
                if self.parse(text) is not None:
                    return text
        given = f"keyword arguments {dict(kwargs)!r}" if kwargs else "no arguments"
        raise NoChannelMatch(
            f"{owner}.channel() with {given} makes no channel: its pattern is {self.pattern!r}."
        ) from cause
