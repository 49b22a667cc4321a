"""When the pages of many viewers ask for a fragment that has changed."""

import json
import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks.timing import Process, verdict
from tests.client.hall.cache import Cache
from tests.client.hall.running import Hall
from tests.real_server import BINARY

VIEWERS = 1000
MOST = 3000
"""Milliseconds over which they ask."""

CLIENT = Path(__file__).resolve().parents[2] / "js-client"


class Site(Hall):
    """The same in gunicorn, whose backlog holds many requests: runserver's refuses the eleventh."""

    def _command(self, *arguments):
        if arguments[0] != "runserver":
            return super()._command(*arguments)
        # It would close connections after two seconds, as a viewer on a busy machine uses one again.
        options = ["--threads", "8", "--keep-alive", "75", "--log-level", "error"]
        options += ["--bind", arguments[1]]
        return ["-m", "gunicorn", *options, "django.core.wsgi:get_wsgi_application()"]


def run():
    built = CLIENT / "test" / "viewers.built.mjs"
    bundle = ("--bundle", "--format=esm", "--packages=external", "--platform=node")
    command = ["node_modules/.bin/esbuild", "test/viewers.ts", *bundle, f"--outfile={built}"]
    subprocess.run([*command, "--log-level=error"], cwd=CLIENT, check=True)
    try:
        for kind in ["embedded", *(["centrifugo"] if BINARY else [])]:
            with tempfile.TemporaryDirectory() as folder:
                _measure(kind, Path(folder), built)
    finally:
        built.unlink()


def _measure(kind, folder, script):
    print(f"\n{VIEWERS} viewers of one fragment, {kind} server: requests after one change\n")
    (folder / "hall").mkdir()
    with Site(folder / "hall", kind) as hall, Cache(folder, hall) as cache:
        cases = (("each its own", hall.url, "?private"), ("public, behind a cache", cache.url, ""))
        for name, url, query in cases:
            note = hall.change("make_note", "first")
            viewers = Process("node", script, url, f"/public/{note}/{query}", str(VIEWERS), core=1)
            try:
                assert viewers.ask() == "ready"
                for change in ("second", "third"):
                    hall.change("rename_note", note, change)
                    told = json.loads(viewers.ask("asked?"))
                    _tell(name, change, told)
            finally:
                viewers.process.kill()
                viewers.process.wait()


def _tell(name, change, told):
    at_django = told["requests"] - told["hits"]
    verdict(
        f"{name}, {change} name: {told['requests']} requests over {told['spread']} ms, at most "
        f"{told['busiest']} in 100 ms; {at_django} came to Django",
        told["requests"] <= VIEWERS
        and told["spread"] <= MOST
        and (at_django <= 1 or not name.startswith("public")),
    )
