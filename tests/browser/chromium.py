"""
The browser that tests drive: Chromium's headless shell, or Chromium itself.

The shell loads and runs pages as Chromium does, with a third of its processor time: it has nothing
around the page. What it lacks of a page is the back/forward cache, so tests of that take Chromium.
"""

import shutil

import pytest

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SHELL, WHOLE = "chromium-headless-shell", ("chromium", "chromium-browser")


def program(*, whole=False):
    """Return the path of the shell, or of Chromium where it is asked for or there is no shell."""
    for name in WHOLE if whole else (SHELL, *WHOLE):
        found = shutil.which(name)
        if found:
            return found
    pytest.fail(
        "These tests drive Chromium, and there is none. Install it with: "
        "apt-get install --yes chromium chromium-headless-shell",
        pytrace=False,
    )


def launch(playwright, *, whole=False, **options):
    """Start it. The whole one keeps pages in its back/forward cache, which Playwright switches off."""
    if whole:
        options["ignore_default_args"] = ["--disable-back-forward-cache"]
    return playwright.chromium.launch(
        executable_path=program(whole=whole), args=ARGUMENTS, **options
    )
