"""
How long after a commit a client has what was published in it, on Centrifugo's PostgreSQL broker.

One transaction after the other, with a client on the node that Django doesn't know.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from django.contrib.auth.models import User
from django.db import connections, transaction

from instant import publish
from instant.rights.tokens import Signer
from tests.live.nodes import database, pair
from tests.live.servers import use
from tests.live.subscriber import Subscriber
from tests.real_server import ABSENT, BINARY

ALIAS = "broker"
BACKENDS = {
    "in the transaction": "instant.backends.postgres.PostgresBrokerBackend",
    "over HTTP after the commit": "instant.backends.centrifugo.CentrifugoBackend",
}


def latencies(nodes, backend, count):
    """Return for each commit the seconds of its COMMIT, and those until the client has it."""
    times = []
    with use(nodes.a, ENGINE=nodes.engine, BACKEND=backend):
        signer = Signer(User(pk=7))
        socket = Subscriber(nodes.b.url)
        socket.connect(signer.connection_token().value)
        assert "subscribe" in socket.subscribe("public", signer.channel_token("public").value)
        for number in range(count):
            with transaction.atomic(ALIAS):
                with connections[ALIAS].cursor() as cursor:
                    cursor.execute("INSERT INTO instant_soak DEFAULT VALUES")
                publish("public", data=number, using=ALIAS)
                begin = time.perf_counter()
            committed = time.perf_counter()
            [(_, data)] = socket.publications(1)
            assert data["data"] == number
            times.append((committed - begin, time.perf_counter() - begin))
        socket.close()
    return times


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.soak commits")
    parser.add_argument("--count", type=int, default=1000, help="how many commits (1000)")
    options = parser.parse_args(arguments)
    if BINARY is None:
        print(ABSENT, file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        pair(Path(folder), "postgres", {}) as nodes,
        database(nodes, ALIAS),
    ):
        with connections[ALIAS].cursor() as cursor:
            cursor.execute("CREATE TABLE instant_soak (id bigserial PRIMARY KEY)")
        for title, backend in BACKENDS.items():
            times = latencies(nodes, backend, options.count)
            commit, heard = (sorted(column) for column in zip(*times, strict=True))
            print(
                f"{title}: {len(times)} commits; COMMIT median {statistics.median(commit) * 1e3:.1f} ms; "
                f"heard after median {statistics.median(heard) * 1e3:.1f} ms, "
                f"95 % {heard[int(len(heard) * 0.95)] * 1e3:.1f} ms, slowest {heard[-1] * 1e3:.1f} ms"
            )
    return 0
