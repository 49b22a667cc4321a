"""Whether a row is one element, as it has to be for a page's script to find it again."""

from __future__ import annotations

from html.parser import HTMLParser

__all__ = ["problem"]

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source"}
    | {"track", "wbr"}
)


def problem(html: str) -> str:
    """
    Return what a row has that it must not have; ``""`` where it is one element.

    Comments may stand beside it. End tags may be missing where HTML lets them.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    if reader.has_text:
        return "text beside the element of the row"
    if reader.roots == 0:
        return "no element"
    return "" if reader.roots == 1 else f"{reader.roots} elements beside each other"


class _Reader(HTMLParser):
    """Counts what stands outside of everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.roots, self.has_text = 0, False
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if not self._open:
            self.roots += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._open and data.strip():
            self.has_text = True
