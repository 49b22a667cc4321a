"""
Pages that live elsewhere in the repository, and links that work there and here.

A page of one line, ``{include} ../SECURITY.md``, shows that file. All documents link to each other
by relative paths, as they do where the repository is shown. Here such a link leads to the page
that shows the file, or into the repository where no page does.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BROWSE = f"{METADATA['urls']['Repository']}/blob/main/"

_INCLUDE = re.compile(r"^```\{include\} (\S+)\n```$", re.MULTILINE)
# A link's target, in place, below the text, or with an image before it.
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))|(?<=\]: )(\S+)$", re.MULTILINE)
_CODE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def shown_at() -> dict[Path, Path]:
    """Return the page that shows each document of the repository."""
    found = {}
    for page in DOCS.rglob("*.md"):
        if "_build" in page.parts:
            continue
        found[page] = page
        for target in _INCLUDE.findall(page.read_text(encoding="utf-8")):
            found[(DOCS / target).resolve()] = page
    return found


def assemble(text: str, page: Path) -> tuple[str, list[Path]]:
    """Return a page with what it includes, its links resolved; and the included files."""
    pages = shown_at()
    included: list[Path] = []

    def include(match: re.Match[str]) -> str:
        path = (page.parent / match[1]).resolve()
        included.append(path)
        return _resolved(path.read_text(encoding="utf-8"), path, pages)

    own = _resolved(text, page, pages)
    return _INCLUDE.sub(include, own), included


def _resolved(text: str, path: Path, pages: dict[Path, Path]) -> str:
    """Return the text with its links, but not those in blocks of code, as the pages need them."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [_links(text[end : code.start()], path, pages), code[0]]
        end = code.end()
    return "".join([*parts, _links(text[end:], path, pages)])


def _links(text: str, path: Path, pages: dict[Path, Path]) -> str:
    return _LINK.sub(lambda match: target(match[0], path, pages), text)


def target(link: str, path: Path, pages: dict[Path, Path]) -> str:
    """Return where a link in the file at ``path`` leads from a page."""
    name, hash_, anchor = link.partition("#")
    if not name or "://" in link or link.startswith("mailto:"):
        return link
    file = (path.parent / name).resolve()
    here = pages.get(path, path).parent
    if file in pages:
        return os.path.relpath(pages[file], here) + hash_ + anchor
    if file.suffix in {".png", ".svg"}:
        return os.path.relpath(file, here)
    if not file.exists():
        raise ValueError(f"{path.relative_to(ROOT)} links to {link}, which isn't there.")
    return f"{BROWSE}{file.relative_to(ROOT).as_posix()}{hash_}{anchor}"


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0], included = assemble(source[0], DOCS / f"{docname}.md")
    for path in included:
        app.env.note_dependency(str(path), docname=docname)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
