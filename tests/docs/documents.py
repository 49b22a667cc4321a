"""The documents of the repository, and the blocks of code in them."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
CLIENT = "js-client/README.md"
"""Its TypeScript is compiled and run where the client is packed (js-client/package.mjs)."""

_BLOCK = re.compile(r"^( *)```(\S+)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:#|\{#|//) ([\w/]+\.\w+)\b")


class Block(NamedTuple):
    document: str
    line: int
    """Of its first line, in the document."""
    language: str
    code: str

    @property
    def file(self):
        """The file that the block is a part of, as its first line says; None where it is loose."""
        found = _FILE.match(self.code)
        return found[1] if found else None

    @property
    def where(self):
        return f"{self.document}:{self.line}"


@cache
def names():
    """Return the Markdown files of the repository, by their paths; new ones count too."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return sorted(name for name in listed if (ROOT / name).exists())


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(*languages, document=None):
    """Return the blocks of these languages (all, if none is given), in all documents or in one."""
    return [
        block
        for name in ([document] if document else names())
        for block in _of(name)
        if not languages or block.language in languages
    ]


@cache
def _of(name):
    source = text(name)
    found = []
    for match in _BLOCK.finditer(source):
        indent = len(match[1])
        code = "".join(line[indent:] for line in match[3].splitlines(keepends=True))
        line = source.count("\n", 0, match.start()) + 2
        found.append(Block(name, line, match[2], code))
    return found


def prose(name):
    """Return the document without its blocks of code."""
    return _BLOCK.sub("", text(name))
