"""What a publication that is a row costs, and how soon it is on a page."""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from django.db import connection, transaction
from django.test import override_settings

from instant import broadcast, publish
from instant.models import OutboxRow
from tests.benchmarks import publishing
from tests.benchmarks.timing import Process, median_of, rounds, table, verdict
from tests.cluster import Cluster, programs
from tests.live.outbox_site import Site

OUTBOX = "instant.backends.outbox.OutboxBackend"
INSERT = (
    "INSERT INTO instant_outbox "
    "(method, payload, partition, namespace, created_at, attempts, error) "
    "VALUES (%s, %s, %s, %s, %s, 0, '')"
)

PUBLISHES = """
import sys, time
from django.db import transaction
from instant import publish
for line in sys.stdin:
    with transaction.atomic():
        publish("news", line)
    print(time.perf_counter(), flush=True)
"""


def run():
    """Measure on the database of the settings; a canned responder answers plain publishes."""
    responder = publishing.canned()
    try:
        port = int(responder.ask())
        with override_settings(
            CENTRIFUGO_HOST="http://127.0.0.1",
            CENTRIFUGO_PORT=port,
            CENTRIFUGO_API_KEY="key",
            INSTANT={"DIR": tempfile.gettempdir(), "BACKEND": OUTBOX, "TIMEOUT": 10},
        ):
            cost(connection.vendor)
    finally:
        responder.close()


def cost(vendor, count=200, times=9):
    body = publishing.BODY.decode()
    now = connection.ops.adapt_datetimefield_value(OutboxRow().created_at)
    centrifugo = override_settings(
        INSTANT={"DIR": "/x", "BACKEND": publishing.CENTRIFUGO, "TIMEOUT": 10}
    )

    def insert():
        with connection.cursor() as cursor:
            cursor.execute(INSERT, ["publish", body, 1, "", now])

    def in_transaction(call):
        """Return the median of one call, in a transaction that is thrown away."""

        def measured():
            with transaction.atomic():
                found = median_of(call, count)
                transaction.set_rollback(True)
            return found

        return measured

    def plain():
        with centrifugo:
            return median_of(lambda: publish("public", publishing.TEXT), count)

    rows = rounds(
        {
            "one INSERT of the same bytes": in_transaction(insert),
            "publish() with the outbox": in_transaction(lambda: publish("public", publishing.TEXT)),
            "publish() without it, to a server": plain,
        },
        count=times,
    )
    table(f"One publish in a transaction, {vendor}", rows, "one INSERT of the same bytes")
    more = rows["publish() with the outbox"] - rows["one INSERT of the same bytes"]
    verdict(f"publish() ≤ one INSERT + 0.15 ms (+ {more:.3f})", more <= 0.15)
    with transaction.atomic():
        many = median_of(lambda: broadcast(publishing.NAMES, publishing.TEXT), 20)
        transaction.set_rollback(True)
    print(f"  broadcast() to 1,000 channels, as 8 rows: {many:.2f} ms")


def latency(count=200):
    """Measure from the commit to the page, with a relay of ours on the embedded server."""
    limits = {"sqlite": 15, "postgresql": 5}
    for vendor, limit in limits.items():
        if vendor == "postgresql" and programs() is None:
            continue
        with tempfile.TemporaryDirectory() as folder, cluster(vendor) as running:
            site = Site("embedded", vendor, Path(folder), running)
            try:
                found = _latency(site, count)
            finally:
                site.close()
        median = statistics.median(found)
        print(
            f"\nCommit → page, relay_outbox on {vendor}: "
            f"min {min(found):.1f}, median {median:.1f}, max {max(found):.1f} ms"
        )
        verdict(f"median ≤ {limit} ms ({median:.1f})", median <= limit)


def cluster(vendor):
    if vendor == "postgresql":
        return Cluster(programs())
    from contextlib import nullcontext

    return nullcontext()


def _latency(site, count):
    site.server.start()
    page = site.subscriber("news")
    site.relay()
    command = [sys.executable, "-m", "django", "shell", "-v0", "-c", PUBLISHES]
    publisher = Process(*command, core=1, env=os.environ | site.env)
    found = []
    try:
        for number in range(count + 20):
            committed = float(publisher.ask(str(number)))
            arrived = page.pushed("pub")
            if number >= 20:
                found.append((arrived - committed) * 1000)
            time.sleep(0.005)
    finally:
        publisher.close()
        page.close()
    return found
