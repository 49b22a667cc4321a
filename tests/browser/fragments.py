"""A page with the script of live pages, to which messages come from the test: no server is needed."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (ROOT / "instant/static/instant/instant.live.min.js").read_text()
MODULES = ROOT / "js-client/node_modules"
URL = "http://127.0.0.1/"

# What the script uses of a page's connection.
CONNECTION = """
const listeners = {};
window.instant = {
  channel: (name) => {
    const mine = (listeners[name] ??= new Set());
    const add = (kind) => (...args) => {
      const call = args.at(-2), { signal } = args.at(-1), one = { kind, call };
      mine.add(one);
      signal.addEventListener("abort", () => mine.delete(one));
    };
    return { name, get status() { return instant.statuses[name] ?? "subscribing" },
             on: add("message"), onLost: add("lost"), onStatus: add("status") };
  },
  statuses: {},
  heard: (name) => [...(listeners[name] ?? [])].filter(({ kind }) => kind === "message").length,
  tell: (name, kind, value) => {
    if (kind === "status") instant.statuses[name] = value;
    for (const one of listeners[name] ?? []) if (one.kind === kind) one.call(value);
  },
};
"""


class Page:
    """A page on which an <instant-source> listens to “news”."""

    def __init__(self, page):
        self.page = page
        self.problems = []
        self.is_refused = False
        """True while the browser is expected to tell of what the page's policy refuses."""
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._console)
        self.files = {}

    def open(self, body, *, head="", nonce="", policy=None, sources=1):
        """Open it with a body, and wait until the script has begun."""
        said = f' nonce="{nonce}"' if nonce else ""
        html = (
            f"<!doctype html><html><head><script{said}>{CONNECTION}</script>{head}"
            f'<script src="/live.js" defer{said}></script></head>'
            f'<body>{body}<instant-source channel="news"></instant-source></body></html>'
        )
        headers = {"Content-Security-Policy": policy} if policy else {}
        self.serve("/", html, "text/html", headers)
        self.serve("/live.js", SCRIPT, "text/javascript")
        self.page.goto(URL)
        assert self.page.evaluate("instant.heard('news')") == sources
        return self.page

    def serve(self, path, body, kind="text/html", headers=None):
        """Answer requests of a path; ``files`` counts them."""
        self.files[path] = 0

        def answer(route):
            self.files[path] += 1
            route.fulfill(
                body=body, content_type=kind, headers={"content-type": kind, **(headers or {})}
            )

        self.page.route(URL.rstrip("/") + path, answer)

    def arrive(self, html, target="#target", action="morph", **more):
        """Let a message with HTML arrive."""
        data = {"html": html, "target": target, "action": action}
        self.tell(eventClass="instant:html", data=data, **more)

    def tell(self, **message):
        message = {"channel": "news", "client": "", "eventClass": "", **message}
        self.page.evaluate(f"instant.tell('news', 'message', {json.dumps(message)})")

    def _console(self, message):
        if message.type in {"error", "warning"} and not self.is_refused:
            self.problems.append(message.text)
