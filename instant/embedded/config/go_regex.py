r"""Regular expressions of a config: in Go's syntax, which is RE2's, for Python to match.

Centrifugo refuses what RE2 doesn't have (looking ahead, references to groups), and takes some
things that Python doesn't (`\z`, `\Q`, `(?i)` anywhere). What both have isn't always the same: `$`
is the very end, and `\d`, `\w`, `\s` and `\b` know ASCII only. The syntax is described at
https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace

from .character_classes import CLASSES, POSIX, category, members, others

_ESCAPES = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_POSIX_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")
_PROPERTY = re.compile(r"([pP])(?:\{(\^?)([^}]*)\}|([A-Za-z]))")
_CATEGORY = re.compile("[LMNPSZC][a-z]?|Any")
_CLASS_ESCAPE = re.compile(r"\\[pPdDwWsS]")
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_REPEAT = re.compile(r"\{(\d+)(,(\d*))?\}", re.ASCII)
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\.", re.DOTALL)
_FLAGS = re.compile(r"\?([imsU]*)(-[imsU]+)?([:)])")
_NAME = re.compile(r"\?P?<(\w+)>", re.ASCII)
_MOST_REPEATS = 1000
_MOST_NESTED = 200


@dataclass(frozen=True, slots=True)
class _Flags:
    """The flags that are on at one place of a pattern."""

    i: bool = False
    m: bool = False
    s: bool = False
    U: bool = False


class _Translator:
    """Translates one pattern; raises re.error at what RE2 hasn't."""

    def __init__(self, pattern: str) -> None:
        self._pattern = _QUOTED.sub(_unquoted, pattern)
        self._at = 0
        self._depth = 0
        self._names: set[str] = set()

    def translate(self) -> str:
        """Return the same pattern for Python."""
        out, _ = self._alternatives(_Flags())
        if self._at < len(self._pattern):
            raise self._error("has no ( for this )")
        return out

    def _error(self, what: str) -> re.error:
        return re.error(f"{self._pattern!r} {what}, at {self._at}")

    def _rest(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self, found: re.Pattern[str]) -> re.Match[str] | None:
        match = found.match(self._pattern, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _alternatives(self, flags: _Flags) -> tuple[str, int]:
        """Translate up to the end of a group; return it, and how often anything in it repeats."""
        out, most = "", 1
        while self._rest() not in {"", ")"}:
            if self._rest() == "|":
                self._at += 1
                out += "|"
                continue
            changed = self._changed_flags(flags)
            if changed is not None:
                flags = changed
                continue
            atom, inner = self._atom(flags)
            piece, times = self._repeated(atom, flags)
            if inner * times > _MOST_REPEATS:
                raise self._error("repeats something more than 1000 times")
            out, most = out + piece, max(most, inner * times)
        return out, most

    def _changed_flags(self, flags: _Flags) -> _Flags | None:
        """Return the flags after a (?i) that stands alone, None if there is none here."""
        match = _FLAGS.match(self._pattern, self._at + 1) if self._rest() == "(" else None
        if match is None or match[3] == ":" or not (match[1] or match[2]):
            return None
        self._at = match.end()
        return _with_flags(flags, match)

    def _repeated(self, atom: str, flags: _Flags) -> tuple[str, int]:
        times = 1
        sign = self._rest()
        if sign and sign in "*+?":
            self._at += 1
        elif match := self._take(_REPEAT):
            low, high = int(match[1]), int(match[3] or match[1])
            if max(low, high) > _MOST_REPEATS or low > high:
                raise self._error("repeats more than 1000 times, or less than at least")
            sign, times = match[0], max(low, high, 1)
        else:
            return atom, 1
        lazy = self._rest() == "?"
        self._at += lazy
        rest = self._rest()
        if (rest and rest in "*+?") or _REPEAT.match(self._pattern, self._at):
            raise self._error("repeats a repetition")
        return f"(?:{atom}){sign}{'?' if lazy != flags.U else ''}", times

    def _atom(self, flags: _Flags) -> tuple[str, int]:
        char = self._rest()
        if char == "(":
            return self._group(flags)
        if char == "[":
            return _cased(self._bracket(), flags), 1
        if char == "\\":
            return self._escape(flags), 1
        if char in "*+?":
            raise self._error("repeats nothing")
        if _REPEAT.match(self._pattern, self._at):
            raise self._error("repeats nothing")
        self._at += 1
        if char == ".":
            return ("(?s:.)" if flags.s else "[^\\n]"), 1
        if char == "^":
            return ("(?m:^)" if flags.m else "\\A"), 1
        if char == "$":
            return ("(?m:$)" if flags.m else "\\Z"), 1
        return _literal(char, flags), 1

    def _group(self, flags: _Flags) -> tuple[str, int]:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._error("is nested too deeply")
        self._at += 1
        opening = "("
        if self._rest() == "?":
            opening = "(?:"
            if match := self._take(_NAME):
                opening = self._named(match[1])
            elif (match := self._take(_FLAGS)) and match[3] == ":":
                flags = _with_flags(flags, match)
            else:
                raise self._error("has a group that RE2 doesn't know")
        inner, most = self._alternatives(flags)
        if self._rest() != ")":
            raise self._error("has no ) for a (")
        self._at += 1
        self._depth -= 1
        return f"{opening}{inner})", most

    def _named(self, name: str) -> str:
        if name in self._names or not name.isidentifier():
            return "("
        self._names.add(name)
        return f"(?P<{name}>"

    def _escape(self, flags: _Flags) -> str:
        self._at += 1
        char = self._rest()
        if char in {"b", "B"}:
            self._at += 1
            return "(?a:\\b)" if char == "b" else "(?!(?a:\\b))"
        if char in {"A", "z"}:
            self._at += 1
            return "\\A" if char == "A" else "\\Z"
        if _CLASS_ESCAPE.match(self._pattern, self._at - 1):
            return _cased(f"[{self._class_escape()}]", flags)
        return _literal(self._escaped_character(), flags)

    def _class_escape(self) -> str:
        """Translate what stands for several characters, to what may stand in brackets."""
        match = self._take(_PROPERTY)
        if match is None:
            char = self._rest()
            self._at += 1
            if char.lower() not in CLASSES:
                raise self._error("has an escape that RE2 doesn't know")
            found = CLASSES[char.lower()]
            return members(found if char.islower() else others(found))
        name = match[4] or match[3]
        if not _CATEGORY.fullmatch(name):
            raise self._error(f"asks for characters of {name!r}, which Python doesn't know")
        found = category(name)
        return members(others(found) if (match[1] == "P") != bool(match[2]) else found)

    def _escaped_character(self) -> str:
        if match := self._take(_HEX):
            code = int(match[1] or match[2], 16)
            if code > sys.maxunicode:
                raise self._error("has a number that is no character")
            return chr(code)
        if match := self._take(_OCTAL):
            return chr(int(match[0], 8))
        char = self._rest()
        if char not in _ESCAPES and not (char.isascii() and char and not char.isalnum()):
            raise self._error("has an escape that RE2 doesn't know")
        self._at += 1
        return _ESCAPES.get(char, char)

    def _bracket(self) -> str:
        self._at += 1
        out = "["
        if self._rest() == "^":
            self._at += 1
            out = "[^"
        first = True
        while first or self._rest() != "]":
            first = False
            if not self._rest():
                raise self._error("has no ] for a [")
            if match := self._take(_POSIX_CLASS):
                if match[2] not in POSIX:
                    raise self._error(f"has no characters {match[0]}")
                found = POSIX[match[2]]
                out += members(others(found) if match[1] else found)
            elif _CLASS_ESCAPE.match(self._pattern, self._at):
                self._at += 1
                out += self._class_escape()
            else:
                out += self._range()
        self._at += 1
        return out + "]"

    def _range(self) -> str:
        low = self._class_character()
        following = self._pattern[self._at : self._at + 2]
        if len(following) < 2 or following[0] != "-" or following[1] == "]":  # noqa: PLR2004  "-x"
            return re.escape(low)
        self._at += 1
        high = self._class_character()
        if high < low:
            raise self._error("has a range that ends before it begins")
        return members([low + high])

    def _class_character(self) -> str:
        char = self._rest()
        if not char:
            raise self._error("has no ] for a [")
        self._at += 1
        return self._escaped_character() if char == "\\" else char


def _with_flags(flags: _Flags, match: re.Match[str]) -> _Flags:
    changes = dict.fromkeys(match[1], True) | dict.fromkeys((match[2] or "")[1:], False)
    return replace(flags, **changes)


def _unquoted(match: re.Match[str]) -> str:
    r"""Write what is between \Q and \E with an escape for each sign."""
    if match[1] is None:
        return match[0]
    return "".join("\\" + c if c.isascii() and not c.isalnum() else c for c in match[1])


def _literal(char: str, flags: _Flags) -> str:
    return _cased(re.escape(char), flags) if char.isalpha() else re.escape(char)


def _cased(piece: str, flags: _Flags) -> str:
    return f"(?i:{piece})" if flags.i else piece


def compile_regex(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in Go's syntax; raises ValueError that says what is wrong with it."""
    try:
        return re.compile(_Translator(pattern).translate())
    except re.error as exc:
        raise ValueError(f"not a regular expression of Go: {exc}") from None
    except RecursionError:
        raise ValueError(f"{pattern[:40]!r} is nested too deeply") from None
