"""Waiting until the live parts of a page hear their channels; public as ``instant.testing``."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["wait_until_live"]

_LATE = """
[...document.querySelectorAll(
  "instant-live, instant-source, [data-instant-list]"
)].filter((element) => {
  if (!window.instant || !element.matches(":defined")) return true;
  if (element.status) return element.status === "connecting";
  const { instantList } = element.dataset;
  const name = instantList ? JSON.parse(instantList).channel : element.getAttribute("channel");
  return name && ["idle", "subscribing"].includes(instant.channel(name).status);
}).map((element) => element.cloneNode().outerHTML)
"""
"""The elements that don't hear their channel yet. One that may not hear it has been told so."""

_LOOK = 0.05


def wait_until_live(page: Any, *, timeout: float = 10.0) -> Any:
    """
    Wait until what ``{% live %}`` and its like have put into the page hears its channel.

    What is published from then on arrives. ``page`` is Playwright's, whose async page gives a
    coroutine to await, or a WebDriver of Selenium's. Raises TimeoutError, or Playwright's own.
    """
    if hasattr(page, "wait_for_function"):
        return page.wait_for_function(f"() => {_LATE.strip()}.length === 0", timeout=timeout * 1000)
    deadline = time.monotonic() + timeout
    while late := page.execute_script(f"return {_LATE.strip()}"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"These were not live within {timeout} s: {', '.join(late)}")
        time.sleep(_LOOK)
    return None
