"""
A process that calls handlers from many threads at the same moment, as tests tell it to.

It reads its settings as one line of JSON; then, for each line, which method how often, with what
call; it says “ready”, waits for another line, and prints what each call was answered.
"""

import json
import os
import sys
import threading
from types import SimpleNamespace

from django.conf import settings

LEASE = 12
"""Seconds, twice the real ones: fifty callers and a file of SQLite keep a busy machine waiting."""
FEW_LEASE = 6
"""Seconds where a test waits for the end of one, with few callers: each asks ten times a second."""

APPS = ["django.contrib.auth", "django.contrib.contenttypes", "instant"]


def answer(method, more, begun):
    from django.core.cache import caches
    from django.db import connections

    from instant.handlers import Call, Refused
    from instant.inbound.dispatch import run
    from instant.inbound.registry import find_handler

    user = SimpleNamespace(pk=more.pop("user", 1), is_authenticated=True, is_active=True)
    call = Call(user=user, method=method, **more)
    begun.wait(60)
    try:
        return run(find_handler("rpc", method), call)
    except Refused as exc:
        return {"refused": exc.code, "retry_after": exc.retry_after}
    except Exception as exc:
        return {"failed": repr(exc)}
    finally:
        caches["default"].close()
        connections.close_all()


def declare(folder):
    from instant import on_rpc

    def note(text):
        """Note that it ran, in a file of all processes."""
        file = os.open(folder / "ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{text}\n".encode())
        os.close(file)

    def waiting(call):
        """Run until a file says that the test has seen it."""
        note(os.getpid())
        while not (folder / "go").exists():
            threading.Event().wait(0.01)
        return {"pid": os.getpid()}

    on_rpc("limited", rate="20/m")(lambda call: "in")
    on_rpc("often", rate="20/3s")(lambda call: "in")
    on_rpc("many", rate="40/m")(lambda call: "in")
    on_rpc("kept", cache=60)(waiting)
    on_rpc("once", once=True)(waiting)


def main():
    from pathlib import Path

    given = json.loads(sys.stdin.readline())
    folder = Path(given.pop("FOLDER"))
    settings.configure(SECRET_KEY="x" * 50, USE_TZ=True, INSTALLED_APPS=APPS, **given)
    import django

    django.setup()
    declare(folder)
    for line in sys.stdin:
        call_together(*json.loads(line))


def call_together(method, count, more):
    from instant.inbound import lease

    lease.SECONDS = more.pop("lease", LEASE)
    lease._RENEWED_EVERY = lease.SECONDS / 3
    begun = threading.Barrier(count + 1)
    found = []

    def call():
        found.append(answer(method, dict(more), begun))

    threads = [threading.Thread(target=call, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    begun.wait(60)
    for thread in threads:
        thread.join()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
