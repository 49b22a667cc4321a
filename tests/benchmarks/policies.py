"""What each policy of a handler costs a call, and what the limit of every connection does."""

import asyncio
import contextlib
import itertools
import json
import shutil
from types import SimpleNamespace

from django.core.cache import caches
from django.core.management import call_command
from django.test import override_settings

from instant import on_rpc
from instant.handlers import Call
from instant.inbound import connection_limit
from instant.inbound.dispatch import arun, run
from instant.inbound.registry import find_handler
from tests.benchmarks.timing import amedian_of, median_of, rounds, table, verdict
from tests.views.test_login_throttle_counts import BACKENDS, SERVERS, running

COUNT, ROUNDS = 200, 5
USERS = [SimpleNamespace(pk=n, is_authenticated=True, is_active=True) for n in range(1000)]
FREE = itertools.count()

DECLARED = {
    "no policy": {},
    "rate": {"rate": "20/m"},
    "cache, kept": {"cache": 3600},
    "cache, computed": {"cache": 3600, "vary": lambda call: next(FREE)},
    "once, the first time": {"once": True},
    "once, repeated": {"once": 3600},
    "timeout": {"timeout": 10},
}


def declare():
    """Return a call of each, as it is asked over and over; of its own name, whatever else there is."""
    for name, options in DECLARED.items():
        on_rpc(method(name), **options)(lambda call: {"total": 7})
        on_rpc(f"a{method(name)}", **options)(atotal)


async def atotal(call):
    return {"total": 7}


def method(name):
    return "bench." + "".join(c for c in name if c.isalpha())


def call(name, prefix=""):
    """Return a call; where it is counted, of a user who has some left."""
    ident = {"once, repeated": "a", "once, the first time": str(next(FREE))}.get(name, "")
    user = USERS[next(FREE) % len(USERS)] if name == "rate" else USERS[0]
    return Call(user=user, method=prefix + method(name), id=ident, data={"a": 1})


def calls(name):
    handler = find_handler("rpc", method(name))
    return lambda: median_of(lambda: run(handler, call(name)), COUNT)


def acalls(name):
    handler = find_handler("rpc", f"a{method(name)}")

    async def one():
        await arun(handler, call(name, "a"))

    return lambda: asyncio.run(amedian_of(one, COUNT))


@contextlib.contextmanager
def stores():
    """Yield the caches that are here, by name."""
    with contextlib.ExitStack() as stack:
        found = {"locmem": BACKENDS["memory"], "database": BACKENDS["database"]}
        for kind, (_, command, _) in SERVERS.items():
            if shutil.which(command[0]):
                found[kind] = stack.enter_context(running(kind))
        yield found


def measure(kind, options):
    with override_settings(CACHES={"default": options}):
        if kind == "database":
            call_command("createcachetable", verbosity=0)
        store = caches["default"]
        found = rounds({name: calls(name) for name in DECLARED}, count=ROUNDS)
        found["Django's cache.get() alone"] = median_of(lambda: store.get("x"), COUNT)
        table(f"One call of a def, {kind}", found, "no policy")
        if kind == "locmem":
            found = rounds({name: acalls(name) for name in DECLARED}, count=ROUNDS)
            table("One call of an async def, locmem", found, "no policy")
        limit(kind, store)
        store.clear()
        store.close()


def limit(kind, store):
    """INSTANT["CALLS"]: quiet connections, one that is just allowed, one that is refused."""
    asked = []

    class Counting:
        def __getattr__(self, name):
            asked.append(name)
            return getattr(store, name)

    real = connection_limit.caches
    connection_limit.caches = {"default": Counting()}
    try:
        found = {}
        quiet = median_of(lambda: connection_limit.check_connection(str(next(FREE) // 5)), 5000)
        found["five calls of each connection"] = quiet
        told = len(asked)
        name = f"busy {next(FREE)}"
        found["100 calls of one connection"] = median_of(
            lambda: connection_limit.check_connection(name), 100
        )
        busy = len(asked) - told
    finally:
        connection_limit.caches = real
    found["cache.get() alone"] = median_of(lambda: store.get("x"), COUNT)
    table(f'INSTANT["CALLS"], {kind}', found, "cache.get() alone")
    print(f"  the cache was asked {told} times for 5,000 calls, and {busy} times for 100 of one")
    verdict("who asks little never costs a round trip", told == 0)


def run_all():
    declare()
    with stores() as found:
        for kind, options in found.items():
            measure(kind, json.loads(json.dumps(options)))
