"""How far a download is: a bar on a terminal, a few plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["DownloadProgress"]

_WIDTH = 30
_STEP = 25  # per cent between two plain lines
_MB = 1_000_000


class DownloadProgress:
    """
    Print what ``instant.centrifugo.installer`` reports while it downloads.

    ``write`` takes a text without adding a line end to it; ``terminal`` says whether the
    carriage return works there.
    """

    def __init__(self, write: Callable[[str], object], *, terminal: bool) -> None:
        self._write = write
        self._terminal = terminal
        self._last = -1
        self._open = False

    def __call__(self, done: int, total: int | None) -> None:
        """Print the new state where it differs from what stands there."""
        step = done * 100 // total if total else done // _MB
        if not self._terminal and total:
            step -= step % _STEP
        if step == self._last or not (self._terminal or total):
            return
        self._last = step
        if self._terminal:
            self._open = True
            self._write(f"\r{self._bar(done, total)}")
        elif step:
            self._write(f"{step:3} % of {(total or 0) / _MB:.1f} MB\n")

    def close(self) -> None:
        """End the line of the bar, where there is one."""
        if self._open:
            self._open = False
            self._write("\n")

    def _bar(self, done: int, total: int | None) -> str:
        if not total:
            return f"{done / _MB:6.1f} MB"
        full = min(_WIDTH, done * _WIDTH // total)
        bar = "#" * full + "." * (_WIDTH - full)
        return f"[{bar}] {done * 100 // total:3} %  {done / _MB:.1f} of {total / _MB:.1f} MB"
