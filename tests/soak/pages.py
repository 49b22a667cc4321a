"""
Page loads that race a publisher: not one page may miss a message, or show one twice.

Pages are loaded in frames of one page in Chromium. Each begins with a number, and every message
brings the next one: the first may be one that the state has, but none may be left out. Straight from Django and
behind an nginx that keeps pages for everybody; with a history that goes back to them, and with one
that does not.
"""

import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.chromium import launch
from tests.client.hall.cache import Cache
from tests.client.hall.running import Hall
from tests.real_server import BINARY

LOADS = int(os.environ.get("SOAK_LOADS", "5000"))
"""From Django and from the cache each."""
NAMESPACES = ("score", "brief")
"""With a history that goes back to what the cache has kept, and with one that doesn't."""

SIDE_BY_SIDE = 4
PAUSE = 0.01
"""Seconds between two messages."""

# A frame is done when a message has arrived after its channel was live: what was lost shows by then.
RACE = """async ([url, total, sideBySide]) => {
  const race = { loads: 0, fromState: 0, lost: 0, wrong: [] };
  let left = total;
  const load = async () => {
    const frame = document.createElement("iframe");
    frame.src = url;
    const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
    document.body.append(frame);
    await loaded;
    const { seen, channel } = frame.contentWindow;
    await channel.subscribed();
    const drawn = seen.messages;
    const until = performance.now() + 20_000;
    while (seen.messages === drawn || channel.status !== "live") {
      if (performance.now() > until) { seen.wrong.push("no message came"); break; }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    race.loads += 1;
    race.fromState += seen.isFromPage;
    race.lost += seen.statuses.includes("lost");
    race.wrong.push(...seen.wrong.map((one) => JSON.stringify(one)));
    frame.remove();
  };
  const lane = async () => { while (left-- > 0) await load(); };
  await Promise.all(Array.from({ length: sideBySide }, lane));
  return race;
}"""


@contextlib.contextmanager
def publishing(hall, channel):
    """Commit and publish in a thread, all the time; yields a list with how often it did."""
    ends = threading.Event()
    counted = []

    def publish():
        while not ends.wait(PAUSE):
            counted.append(hall.change("count", channel))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield counted
    finally:
        ends.set()
        thread.join()


def race(browser, hall, url, channel, loads):
    """Load the channel's page so often; return what came of it."""
    with publishing(hall, channel) as counted:
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(url)
        found = page.evaluate(RACE, [f"{url}/state/{channel}/", loads, SIDE_BY_SIDE])
        page.close()
    return {**found, "messages": len(counted)}


def problems(found, loads):
    """Return what is wrong with a race."""
    wrong = [f"a page drew {one}" for one in found["wrong"]]
    if found["loads"] != loads:
        wrong.append(f"{found['loads']} of {loads} pages were loaded")
    return wrong


def main(_arguments):
    wrong = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for kind in ["embedded", *(["centrifugo"] if BINARY else [])]:
            wrong += _on(browser, kind)
        browser.close()
    print(*wrong, sep="\n")
    return bool(wrong)


def _on(browser, kind):
    wrong = []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        hall = stack.enter_context(Hall(folder, kind))
        (folder / "nginx").mkdir()
        cache = stack.enter_context(Cache(folder / "nginx", hall, seconds=2))
        number, loads = 0, LOADS // len(NAMESPACES)
        for where, url in (("Django", hall.url), ("a shared cache", cache.url)):
            for namespace in NAMESPACES:
                number += 1
                began = time.monotonic()
                found = race(browser, hall, url, f"{namespace}:{number}", loads)
                seconds = time.monotonic() - began
                print(
                    f"{kind}, {namespace}, from {where}: {found['loads']:,} loads and "
                    f"{found['messages']:,} messages in {seconds:.0f} s; "
                    f"{found['fromState']:,} began with a state, {found['lost']:,} asked again, "
                    f"{len(found['wrong'])} wrong",
                    flush=True,
                )
                wrong += [f"{kind}, {namespace}, {where}: {one}" for one in problems(found, loads)]
    return wrong
