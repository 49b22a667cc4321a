"""What a call costs that is put off, and what it costs to claim its job among many."""

import tempfile

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import override_settings

from instant import on_rpc
from instant.inbound.call import Call
from instant.inbound.dispatch import run as answer
from instant.inbound.registry import find_handler
from instant.inbound.tickets import rows
from instant.models import Ticket
from tests.benchmarks.timing import median_of, rounds, table

WAITING = 10_000


def run():
    """Measure on the database of the settings; nobody runs the jobs."""
    with override_settings(CENTRIFUGO_HMAC_KEY="x" * 32, INSTANT={"DIR": tempfile.gettempdir()}):
        measure(connection.vendor)


def measure(vendor, count=200, times=9):
    on_rpc("bench.now")(lambda call, year: {"year": year})
    on_rpc("bench.later", queue="bench", priority=5)(lambda call, year: {"year": year})
    user = get_user_model().objects.create_user("bench")

    def call(method):
        given = Call(user=user, method=method, data={"year": 2026}, client="c")
        answer(find_handler("rpc", method), given)

    def insert():
        Ticket(method="bench.later", queue="bench", owner="1", data='{"year":2026}').save(
            force_insert=True
        )

    found = rounds(
        {
            "a call that is answered at once": lambda: median_of(lambda: call("bench.now"), count),
            "one INSERT of a ticket": lambda: median_of(insert, count),
            "a call that is put off": lambda: median_of(lambda: call("bench.later"), count),
        },
        count=times,
    )
    Ticket.objects.all().delete()
    Ticket.objects.bulk_create(
        Ticket(method="x", queue=f"q{n % 10}", priority=n % 7) for n in range(WAITING)
    )
    claiming = median_of(lambda: rows.claim(["q3"]), count)
    table(
        f"A queued call ({vendor})",
        found,
        "one INSERT of a ticket",
        notes=[f"to claim the next of {WAITING:,} that wait: {claiming:.3f} ms"],
    )
